"""What may identify a person outside the picture: hidden metadata, file names, records."""
