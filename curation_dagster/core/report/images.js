"use strict";
// The page of one image: chosen by the address behind #, drawn from the data in this page. Nothing is fetched.
const data = JSON.parse(document.getElementById("data").textContent);
const place = document.getElementById("image");
// a column is a list, or distinct values and places in them
function value(name, row) {
  const column = data.columns[name];
  return Array.isArray(column) ? column[row] : column.of[column.at[row]];
}
// an image that is in several versions of its archive has a life in each
function livesOf(id) {
  return data.ids.flatMap((known, row) => {
    if (known !== id) return [];
    const life = { from: value("archive", row) + "@" + value("version", row), reviews: data.reviews[row] || [] };
    Object.keys(data.columns).forEach((name) => { life[name] = value(name, row); });
    const [contexts, outcomes] = data.patterns[data.pattern[row]], details = new Map(data.details[row] || []);
    life.ledger = contexts.map((context, k) => [context, outcomes[k], data.measured[row][k], details.get(k)]);
    return [life];
  });
}
// what does not show, such as a right-to-left override in a comment, stands as its code point
function visible(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (c) => ("\u200c\u200d\n\r\t".includes(c) ? c
    : "[U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "]"));
}
function node(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = visible(text);
  if (kind) made.className = kind;
  return made;
}
function table(headers, rows, kinds) {
  const box = node("div", null, "wide"), made = node("table"), head = node("tr"), body = node("tbody");
  headers.forEach((h) => { const cell = node("th", h); cell.scope = "col"; head.append(cell); });
  rows.forEach((row, i) => {
    const line = node("tr");
    row.forEach((value, k) => {
      const cell = node("td", value instanceof Node ? null : value, kinds && k === 0 ? kinds[i] : "");
      if (value instanceof Node) cell.append(value);
      line.append(cell);
    });
    body.append(line);
  });
  const top = node("thead");
  top.append(head);
  made.append(top, body);
  box.append(made);
  return box;
}
function link(text, href) {
  const made = node("a", text);
  made.href = href;
  return made;
}
function facts(title, id, pairs) {
  const rows = pairs.filter((p) => p[1] !== null && p[1] !== undefined && p[1] !== "").map((p) => [p[0], p[1]]);
  if (!rows.length) return;
  const heading = node("h2", title);
  heading.id = id;
  place.append(heading, table(["what", "value"], rows));
}
function pageOf(id) {
  return data.prefix_length ? id.slice(0, data.prefix_length) + ".html" : "all.html";
}
function other(id) {
  return id ? link(id, pageOf(id) + "#" + id) : null;
}
function show() {
  place.replaceChildren();
  const id = decodeURIComponent(location.hash.slice(1)).trim().toLowerCase(), lives = livesOf(id);
  document.title = id ? "Image " + id : document.title;
  if (!lives.length) {
    if (id) place.append(node("p", "No image of this page has the id " + id + "."));
    place.append(node("h2", "Images of this page"));
    place.append(table(["image", "archive version", "where it ended", "by"],
      data.ids.map((i, row) => [link(i, "#" + i), value("archive", row) + "@" + value("version", row), data.boxes[value("box", row)], value("reason", row)])));
    return;
  }
  lives.forEach((life) => draw(id, life));
}
function draw(id, image) {
  const archive = data.archives[image.from] || {};
  place.append(node("h2", id), node("p", data.boxes[image.box] + (image.reason ? ": " + image.reason.replaceAll("_", " ") : "")));
  if (image.path) {
    const picture = node("img");
    picture.src = "../../" + image.path;
    picture.alt = "The published picture";
    picture.onerror = () => picture.replaceWith(node("p", "Its file is no longer here: it was withdrawn, or the tables were passed on without the pictures."));
    picture.style.cssText = "max-width:min(100%,420px);border-radius:10px";
    place.append(picture);
  }
  facts("Source", "source", [
    ["archive version", link(image.from, "../technical-file-" + image.from + ".html")], ["name", archive.name],
    ["landing page", image.url], ["how record and file met", image.joined], ["SHA-256 of the source file", image.sha256],
    ["bytes", image.bytes], ["type", image.type], ["publisher's checksum", image.checksum], ["staged", image.staged]]);
  facts("Licence", "licence", [["licence", image.licence], ["attribution", image.attribution]]);
  facts("Diagnosis and person", "labels", [
    ["modality", image.modality], ["ICD-11", [image.code, image.title].filter(Boolean).join(" ")], ["relation of label and code", image.relation],
    ["confirmation", image.confirmation], ["phototype (Fitzpatrick)", image.fitzpatrick], ["sex", image.sex], ["age", image.age], ["site", image.site]]);
  facts("Published file", "published", [
    ["file", image.path], ["SHA-256", image.published], ["size", image.size], ["done to the pixels", image.done],
    ["ingested", image.ingested], ["side", image.side], ["why this side", image.why_side]]);
  facts("Duplicates", "duplicates", [
    ["relation", image.relation_in_group], ["images in the group", image.group_size], ["represented by", other(image.representative)],
    ["evidence", image.evidence], ["why", image.why_representative]]);
  const order = { fail: 0, review: 1, pass: 2, not_applicable: 3 };
  const rows = image.ledger.map(([context, outcome, measured, detail]) => {
    const [criterion, bound, by, at] = data.contexts[context];
    return [data.outcomes[outcome], data.criteria[criterion][1], data.criteria[criterion][0], data.criteria[criterion][2], measured, bound, detail, by, at];
  }).sort((a, b) => order[a[0]] - order[b[0]] || a[1].localeCompare(b[1]) || a[2].localeCompare(b[2]));
  const heading = node("h2", "Decisions");
  heading.id = "decisions";
  place.append(heading);
  if (rows.length) {
    const [, , , , version, digest, code, run] = data.contexts[image.ledger[0][0]];
    place.append(node("p", "Criteria " + version + ", SHA-256 " + digest + "; code " + code + "; run " + run + "."));
    place.append(table(["outcome", "clause", "criterion", "what it asks", "measured", "bound", "detail", "decided by", "at"], rows,
      rows.map((r) => (r[0] === "not_applicable" ? "" : r[0]))));
  } else place.append(node("p", "Nothing was decided: its archive version has no ledger."));
  if (image.reviews.length) {
    place.append(node("h2", "Verdicts of people"), table(["criterion", "outcome", "reviewer", "comment", "at"], image.reviews));
  }
  if (archive.approvals && archive.approvals.length) {
    place.append(node("h2", "Approvals of its archive version and of the criteria"),
      table(["what", "subject", "decision", "put forward by", "decided by", "at"], archive.approvals));
  }
}
window.addEventListener("hashchange", show);
document.getElementById("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = document.getElementById("id").value.trim().toLowerCase();
  if (pageOf(id) === decodeURIComponent(location.pathname.split("/").pop())) location.hash = id;
  else location.href = pageOf(id) + "#" + id;
});
show();
