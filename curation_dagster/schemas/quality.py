"""Tables of the one pass over the pixels and of what it means for quality."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.schemas.columns import ARCHIVE, IMAGE_ID, RUN, SHA256, VERDICT, VERSION
from curation_dagster.schemas.table import ID, TEXT, TEXTS, Table, column
from curation_dagster.schemas.vocabulary import DECODE_STATES

REGIONS = pa.list_(
    pa.struct(
        [
            ("kind", TEXT),
            ("left", pa.int32()),
            ("top", pa.int32()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("score", pa.float32()),
            ("certain", pa.bool_()),
        ]
    )
)
"""Boxes of what may identify a person: kind is text or face."""

MEASUREMENTS = Table(
    "measurements",
    "What one read and one full decode of a distinct file showed. Decisions are made over this table.",
    ("sha256", "measured_by"),
    (
        column("sha256", ID, "SHA-256 of the file.", nullable=False, matches=r"^[0-9a-f]{64}$"),
        column(
            "measured_by",
            ID,
            "Version of the measuring code: digest of its source and of its decoders' versions.",
            nullable=False,
        ),
        column("bytes", pa.int64(), "Size of the file.", unit="byte", ge=0),
        column("decode_state", TEXT, "Integrity.", nullable=False, isin=DECODE_STATES, clause="quality"),
        column("decode_detail", TEXT, "What the decoder said."),
        column("media_type", TEXT, "By content."),
        column("format", TEXT, "JPEG, PNG, TIFF, BMP, WEBP, GIF, HEIF, DICOM."),
        column("color_mode", TEXT, "Colour mode as stored, such as RGB, L, CMYK, P, RGBA, I;16."),
        column("bit_depth", pa.int16(), "Bits a channel as stored.", unit="bit"),
        column("width", pa.int32(), "Width after orientation.", unit="px"),
        column("height", pa.int32(), "Height after orientation.", unit="px"),
        column("short_side", pa.int32(), "The smaller of width and height.", unit="px"),
        column("long_side", pa.int32(), "The larger of width and height.", unit="px"),
        column("megapixels", pa.float32(), "Width times height.", unit="Mpx"),
        column("frames", pa.int32(), "Frames or pages in the file."),
        column("orientation", pa.int16(), "EXIF orientation, 1 if none.", ge=1, le=8),
        column("is_lossless", pa.bool_(), "True where the stored compression loses nothing."),
        column("has_alpha", pa.bool_(), "True where an alpha channel or transparent colour is stored."),
        column(
            "icc_profile",
            TEXT,
            "Kind of the colour profile (sRGB, Display P3, Adobe RGB, grey, other); null if none.",
        ),
        column(
            "jpeg_quality", pa.int16(), "IJG quality estimated from the quantization tables.", ge=0, le=100
        ),
        column("jpeg_subsampling", TEXT, "Chroma subsampling: 444, 422, 420, 440, 411, gray."),
        column("jpeg_progressive", pa.bool_(), "True for a progressive JPEG."),
        column(
            "dicom_technical",
            TEXT,
            "Of a DICOM file: how its pixels are stored and shown, by numbers and defined terms; a JSON object.",
        ),
        column("bits_per_pixel", pa.float32(), "Bytes times 8 over pixels.", unit="bit/px"),
        column("trailing_bytes", pa.int64(), "Bytes after the end of the image.", unit="byte", ge=0),
        # sharpness, at min(512, native) and 256 px on the long side, never upscaled
        column(
            "laplacian_variance_512",
            pa.float32(),
            "Variance of the Laplacian of luma at up to 512 px.",
            unit="level²",
        ),
        column(
            "laplacian_variance_256",
            pa.float32(),
            "Variance of the Laplacian of luma at up to 256 px.",
            unit="level²",
        ),
        column(
            "reblur_512",
            pa.float32(),
            "Perceptual blur after Crete et al. 2007 at up to 512 px; 0 sharp, 1 blurred.",
            ge=0,
            le=1,
        ),
        column("reblur_256", pa.float32(), "The same at up to 256 px.", ge=0, le=1),
        column(
            "sharpest_tile_512",
            pa.float32(),
            "90th percentile of the Laplacian variance over 8x8 tiles at up to 512 px.",
            unit="level²",
        ),
        column(
            "blur_anisotropy",
            pa.float32(),
            "Ratio of the larger to the smaller directional re-blur; high with motion blur.",
            ge=1,
        ),
        column("noise_sigma", pa.float32(), "Noise after Immerkær 1996 at up to 512 px.", unit="level"),
        # light
        column("luma_p01", pa.float32(), "1st percentile of luma.", unit="level", ge=0, le=255),
        column("luma_p05", pa.float32(), "5th percentile of luma.", unit="level", ge=0, le=255),
        column("luma_p50", pa.float32(), "Median luma.", unit="level", ge=0, le=255),
        column("luma_p95", pa.float32(), "95th percentile of luma.", unit="level", ge=0, le=255),
        column("luma_p99", pa.float32(), "99th percentile of luma.", unit="level", ge=0, le=255),
        column("luma_std", pa.float32(), "Standard deviation of luma.", unit="level", ge=0),
        column("dark_share", pa.float32(), "Share of pixels with luma up to 20.", ge=0, le=1),
        column("bright_share", pa.float32(), "Share of pixels with luma from 250.", ge=0, le=1),
        column("luma_entropy", pa.float32(), "Entropy of the luma histogram.", unit="bit", ge=0, le=8),
        column("saturation_mean", pa.float32(), "Mean HSV saturation.", ge=0, le=1),
        column(
            "skin_share",
            pa.float32(),
            "Share of pixels inside the declared YCrCb skin range; information only.",
            ge=0,
            le=1,
        ),
        # artifacts
        column("hair_share", pa.float32(), "Share of pixels on dark thin strands at 256 px.", ge=0, le=1),
        column("hair_strands", pa.int32(), "Long slender strands at 256 px, by the declared lengths.", ge=0),
        column(
            "vignette_share",
            pa.float32(),
            "Share of pixels in dark components that touch a corner at 64 px.",
            ge=0,
            le=1,
        ),
        column("ink_share", pa.float32(), "Share of pixels in the hue of surgical ink.", ge=0, le=1),
        column(
            "ruler_score",
            pa.float32(),
            "Strength of periodic ticks along an edge; information and review only.",
            ge=0,
        ),
        # identity of pixels
        column(
            "stream_sha256",
            ID,
            "SHA-256 of the image data without metadata: JPEG and PNG segments that carry pixels.",
        ),
        column(
            "pixel_sha256",
            ID,
            "Digest of size and decoded, oriented 8-bit RGB pixels: SHA-256 over position-wise sums of all of them.",
        ),
        column("phash", ID, "64-bit perceptual hash, hexadecimal, in the layout of imagehash.phash."),
        column("phash256", pa.binary(), "256-bit DCT hash of the 64x64 grey image, 32 bytes."),
        column(
            "hash_is_degenerate",
            pa.bool_(),
            "True where the picture has too little structure for a hash to mean anything.",
        ),
        column("thumbnail_64", pa.binary(), "64x64 grey thumbnail, 4096 bytes row by row, oriented."),
        column("thumbnail_256", pa.binary(), "Grey thumbnail, at most 256 px, oriented, JPEG."),
        # hidden metadata, by kind and never by value
        column(
            "hidden_kinds",
            TEXTS,
            "Kinds of hidden metadata in the file, from the vocabulary hidden_metadata.csv.",
        ),
        column("hidden_bytes", pa.int64(), "Bytes of hidden metadata.", unit="byte", ge=0),
        # text and faces in the picture; what was read is never stored
        column("pixels_searched", pa.bool_(), "True where the detectors of text and faces have looked."),
        column(
            "regions",
            REGIONS,
            "Boxes of text and faces in px of the oriented picture, with the detector's score; certain where it reaches "
            "the declared score.",
        ),
        column("faces", pa.int32(), "Certain faces; null where no detector has looked.", ge=0),
        column(
            "text_regions", pa.int32(), "Certain regions of text; null where no detector has looked.", ge=0
        ),
        column("text_doubtful", pa.int32(), "Regions that may be text: a person looks.", ge=0),
        column(
            "face_score",
            pa.float32(),
            "Highest score of anything like a face, whether it is one or not.",
            le=1,
        ),
        column(
            "regions_share",
            pa.float32(),
            "Share of the picture that filling the certain regions takes.",
            ge=0,
            le=1,
        ),
        column(
            "regions_core_share",
            pa.float32(),
            "Share of the diagnostic middle of the picture that filling the certain regions takes.",
            ge=0,
            le=1,
        ),
    ),
)

QUALITY = Table(
    "quality",
    "Verdict of integrity, resolution, focus, light and artifacts, one row per image.",
    ("archive", "version", "image_id"),
    (IMAGE_ID, ARCHIVE, VERSION, SHA256, *VERDICT, RUN),
    ("archive", "version"),
)
