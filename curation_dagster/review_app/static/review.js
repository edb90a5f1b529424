"use strict";
// One key for each verdict. The next pictures are fetched while this one is looked at; a verdict is sent while the next
// picture is shown already, and whatever could not be recorded comes back.
(() => {
  const desk = document.getElementById("desk");
  const { base, token, digest, home } = desk.dataset;
  const find = (id) => document.getElementById(id);
  const stage = find("stage"), pictures = find("pictures"), message = find("message"), saving = find("saving");
  const AHEAD = 4, MOST_UNDONE = 20, ALONE = 10 * 60000;
  const ahead = [];      // what comes next, with its pictures on their way
  const later = new Set(); // put off in this sitting
  const sending = new Set(); // judged, but not recorded yet
  const undoable = [];   // what was judged here, the newest last
  const underway = new Set(); // verdicts that were sent and not answered yet
  let current = null, unsent = 0, finished = false, asking = null, zoom = 1, shift = [0, 0], verdictAt = 0, touched = performance.now();

  const api = async (path, options = {}) => {
    const answer = await fetch(base + path, { credentials: "same-origin", cache: "no-store", ...options });
    if (answer.status === 401) { location.href = home; throw new Error("Sign in again."); }
    if (!answer.ok) {
      const said = await answer.json().catch(() => ({}));
      const error = new Error(said.problem || `The server answered ${answer.status}.`);
      error.status = answer.status;
      throw error;
    }
    return answer;
  };
  const picture = async (id, size) => {
    const blob = await (await api(`/pictures/${id}?size=${size}`)).blob();
    const image = new Image();
    image.src = URL.createObjectURL(blob);
    await image.decode();
    return image;
  };
  const prepare = (item) => {
    item.ids = [item.image_id, ...item.others];
    item.pictures = item.ids.map((id) => picture(id, "fit").catch((error) => error));
    return item;
  };
  const release = (item) => {
    for (const made of item.pictures) made.then((image) => { if (image instanceof Image) URL.revokeObjectURL(image.src); });
  };
  const holding = () => [current, ...ahead].filter(Boolean).map((i) => i.image_id).concat([...sending], [...later]);

  const refill = () => {
    if (asking || ahead.length >= AHEAD) return asking;
    asking = (async () => {
      const answer = await api(`/next?most=${AHEAD - ahead.length}&holding=${holding().slice(0, 20).join(",")}`);
      const { items, progress } = await answer.json();
      const known = new Set(holding());
      for (const item of items) if (!known.has(item.image_id)) ahead.push(prepare(item));
      finished = items.length === 0;
      find("bar").value = progress.settled;
      find("counts").textContent = `${progress.waiting} wait for you, ${progress.mine} judged by you`;
    })().catch((error) => say(error.message, true)).finally(() => { asking = null; });
    return asking;
  };
  const say = (text, bad = false) => { saving.textContent = text; saving.classList.toggle("bad", bad); };

  const show = async (item) => {
    current = item;
    item.shown = item.seen = false;
    zoom = 1; shift = [0, 0];
    const made = await Promise.all(item.pictures);
    if (current !== item) return;
    message.textContent = "";
    item.seen = made.every((image) => image instanceof Image); // a verdict is on what was on the screen
    item.shown = true;
    pictures.replaceChildren(...made.map((image, n) => {
      const figure = document.createElement("figure");
      if (image instanceof Image) { image.alt = n ? "the other image" : "the image to judge"; figure.append(image); }
      else { const p = document.createElement("p"); p.className = "problem"; p.textContent = image.message; figure.append(p); }
      if (made.length > 1) {
        const caption = document.createElement("figcaption");
        caption.textContent = n ? "may be the same as this one" : "to judge";
        figure.append(caption);
      }
      return figure;
    }));
    const facts = find("facts");
    facts.replaceChildren(...item.facts.flatMap(([name, value]) => {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = name; dd.textContent = value;
      return [dt, dd];
    }));
    desk.dataset.image = item.image_id;
    desk.dataset.shown = String(Number(desk.dataset.shown || 0) + 1);
    if (verdictAt) { desk.dataset.milliseconds = String(Math.round(performance.now() - verdictAt)); verdictAt = 0; }
    refill();
  };
  const next = async () => {
    current = null;
    pictures.replaceChildren();
    delete desk.dataset.image;
    for (let tries = 0; !ahead.length && tries < 3; tries += 1) {
      message.textContent = "Loading";
      await refill();
      if (finished) break;
    }
    if (ahead.length) return show(ahead.shift());
    if (later.size) { later.clear(); message.textContent = "What you put off comes again."; finished = false; await refill(); if (ahead.length) return show(ahead.shift()); }
    message.textContent = "Nothing waits for you in this queue.\nQ goes back to the queues, U takes your last verdict back.";
    desk.dataset.done = "1";
    return undefined;
  };

  const send = async (item, outcome, comment) => {
    unsent += 1;
    sending.add(item.image_id);
    say(`${unsent} on the way`);
    try {
      const answer = await api("/verdicts", {
        method: "POST", headers: { "Content-Type": "application/json", "X-Token": token },
        body: JSON.stringify({ image_id: item.image_id, outcome, comment, digest }),
      });
      desk.dataset.recorded = String(Number(desk.dataset.recorded || 0) + 1);
      unsent -= 1;
      const { problem } = await answer.json().catch(() => ({}));
      if (problem) say(problem, true);
      else say(unsent ? `${unsent} on the way` : "All verdicts are recorded.");
      return true;
    } catch (error) {
      unsent -= 1;
      say(`Not recorded: ${error.message}`, true);
      if (error.status !== 409 && outcome !== "withdrawn") ahead.unshift(prepare(item)); // comes back
      return false;
    } finally {
      sending.delete(item.image_id);
    }
  };
  const judge = (outcome, comment = null) => {
    const item = current;
    // a second click or key, meant for the picture before, must not judge one that is not on the screen yet
    if (!item || !item.shown) return;
    if (outcome === "pass" && !item.seen) { say("This picture can't be shown, so nobody can pass it. Put it off with S, or fail it.", true); return; }
    verdictAt = performance.now();
    const sent = send(item, outcome, comment).then((ok) => {
      underway.delete(sent);
      if (!ok) return;
      undoable.push(item);
      while (undoable.length > MOST_UNDONE) undoable.shift();
      refill();
    });
    underway.add(sent);
    release(item);
    next();
  };
  const undo = async () => {
    await Promise.all([...underway]); // the last verdict may still be on its way
    const item = undoable.pop();
    if (!item) { say("There is nothing to take back."); return; }
    if (await send(item, "withdrawn", null)) {
      if (current) ahead.unshift(current);
      delete desk.dataset.done;
      message.textContent = "";
      show(prepare(item));
      say("Taken back. Judge it again.");
    }
  };
  const putOff = () => {
    if (!current) return;
    later.add(current.image_id);
    release(current);
    next();
  };

  const move = () => { for (const image of pictures.querySelectorAll("img")) image.style.transform = `translate(${shift[0]}px, ${shift[1]}px) scale(${zoom})`; };
  const zoomTo = async (factor) => {
    zoom = factor;
    if (zoom === 1) shift = [0, 0];
    move();
    const item = current;
    if (!item || zoom === 1 || item.full) return;
    item.full = true;
    await Promise.all(item.ids.map(async (id, n) => {
      try {
        const sharp = await picture(id, "full");
        const shown = pictures.querySelectorAll("figure")[n]?.querySelector("img");
        if (current === item && shown) { sharp.alt = shown.alt; shown.replaceWith(sharp); move(); }
      } catch { /* the smaller picture stays */ }
    }));
  };
  const own = find("own"), comment = find("comment");
  const ask = () => { if (!current) return; own.hidden = false; comment.value = ""; comment.focus(); };
  const stopAsking = () => { own.hidden = true; stage.focus(); };
  own.addEventListener("submit", (event) => {
    event.preventDefault();
    const why = comment.value.trim();
    if (why) { stopAsking(); judge("fail", why); }
  });
  comment.addEventListener("keydown", (event) => { event.stopPropagation(); if (event.key === "Escape") stopAsking(); });

  const reasons = [...document.querySelectorAll("[data-reason]")];
  // detail counts clicks: the second of a double click would judge the next picture
  const once = (action) => (event) => { if (event.detail < 2) action(); stage.focus(); };
  reasons.forEach((button) => button.addEventListener("click", once(() => judge("fail", button.dataset.reason))));
  find("pass").addEventListener("click", once(() => judge("pass")));
  find("other").addEventListener("click", ask);
  const keys = {
    p: () => judge("pass"), f: ask, u: undo, s: putOff, q: () => { location.href = home; },
    z: () => zoomTo(zoom === 1 ? 2 : zoom === 2 ? 4 : 1), r: () => { find("rationale").open = !find("rationale").open; },
    ArrowLeft: () => { shift[0] += 80; move(); }, ArrowRight: () => { shift[0] -= 80; move(); },
    ArrowUp: () => { shift[1] += 80; move(); }, ArrowDown: () => { shift[1] -= 80; move(); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
    const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const digit = Number(event.key);
    if (action) { event.preventDefault(); if (!event.repeat || event.key.startsWith("Arrow")) action(); }
    else if (digit >= 1 && digit <= reasons.length && !event.repeat) { event.preventDefault(); judge("fail", reasons[digit - 1].dataset.reason); }
  });
  window.addEventListener("beforeunload", (event) => { if (unsent) event.preventDefault(); });
  // what is on the screen stays this reviewer's, as long as somebody sits before it: a page that was left alone must not
  // keep the image from others, nor the session open
  for (const kind of ["keydown", "pointermove"]) document.addEventListener(kind, () => { touched = performance.now(); });
  setInterval(() => { if (current && performance.now() - touched < ALONE) api(`/next?most=0&holding=${holding().slice(0, 20).join(",")}`).catch(() => {}); }, 60000);

  stage.focus();
  next();
})();
