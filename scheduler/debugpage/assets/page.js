"use strict";
// Follows the state over one stream, which brings the parts of the page and the rows of
// its lists that have changed, as HTML that the server has escaped. What somebody types,
// has scrolled to or has the focus on stays. It also draws the map of the nodes, and
// asks without leaving the page.
(() => {
  const { prefix, seen } = document.currentScript.dataset;
  const byId = (id) => document.getElementById(id);

  // ---- What has changed takes the place of what was there.

  function fill(element, html) {
    if (!element) return;
    const scrolled = element.querySelector(".scroll");
    const top = scrolled ? scrolled.scrollTop : 0, left = scrolled ? scrolled.scrollLeft : 0;
    const link = element.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    element.innerHTML = html;
    const after = element.querySelector(".scroll");
    if (after) { after.scrollTop = top; after.scrollLeft = left; }
    if (link) element.querySelector(`a[href="${CSS.escape(link)}"]`)?.focus();
  }

  function row(html) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    return holder.content.firstElementChild;
  }

  // Lists are keyed by their rows. False says that a row is not known here.
  function list(name, update) {
    const body = byId(name + "-rows");
    const rows = new Map(Array.from(body.children, (tr) => [tr.dataset.key, tr]));
    for (const [key, html] of Object.entries(update.rows ?? {})) {
      const fresh = row(html), old = rows.get(key);
      rows.set(key, fresh);
      if (!old) continue;
      const focused = old.contains(document.activeElement) ? document.activeElement.tagName : "";
      old.replaceWith(fresh);
      if (focused) fresh.querySelector(focused)?.focus();
    }
    if (update.more !== undefined) byId(name + "-more").textContent = update.more ? `And ${update.more} more: filter.` : "";
    if (!update.order) return true;
    let at = body.firstElementChild, complete = true;
    for (const key of update.order) {
      const tr = rows.get(key);
      if (!tr) { complete = false; continue; }
      rows.delete(key);
      if (tr === at) at = at.nextElementSibling; else body.insertBefore(tr, at);
    }
    for (const tr of rows.values()) tr.remove();
    return complete;
  }

  function update(u) {
    for (const [part, html] of Object.entries(u.parts ?? {})) {
      if (part === "title") document.title = row(`<i>${html}</i>`).textContent; else fill(byId(part), html);
    }
    let complete = true;
    for (const [name, changed] of Object.entries(u.lists ?? {})) complete = list(name, changed) && complete;
    if (!complete) listen(""); // from the beginning
  }

  // ---- The stream.

  let stream;
  function listen(from) {
    stream?.close();
    const query = new URLSearchParams({ page: "", seen: from });
    const filter = new URLSearchParams(location.search).get("filter");
    if (filter) query.set("filter", filter);
    stream = new EventSource(`${prefix}stream?${query}`);
    stream.addEventListener("page", (event) => update(JSON.parse(event.data)));
    stream.addEventListener("cells", (event) => map.update(JSON.parse(event.data)));
    stream.onopen = () => document.body.classList.remove("stale");
    stream.onerror = () => {
      document.body.classList.add("stale");
      // A server that refuses ends the stream for good: it may be back later.
      if (stream.readyState === EventSource.CLOSED) setTimeout(() => listen(from), 5000);
    };
  }
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => { if (event.persisted) listen(""); });

  // ---- Questions are answered in their place.

  byId("why").addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target, data = new URLSearchParams(new FormData(form)), by = event.submitter;
    const whatIf = by?.formMethod === "post";
    const answer = byId("answer");
    answer.setAttribute("aria-busy", "true");
    try {
      const response = whatIf
        ? await fetch(`${prefix}whatif`, { method: "POST", body: data })
        : await fetch(`${prefix}?${new URLSearchParams({ request: data.get("request") })}`);
      if (!response.ok) throw new Error(await response.text());
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      answer.replaceChildren(...page.getElementById("answer").childNodes);
      if (!whatIf) history.replaceState(null, "", `?${new URLSearchParams({ request: data.get("request") })}#why`);
    } catch (error) {
      answer.textContent = error.message;
    }
    answer.removeAttribute("aria-busy");
  });

  // ---- The map: a cell for each node, in groups.

  const map = (() => {
    const canvas = byId("map-canvas"), text = byId("map-text"), group = byId("map-group"), colour = byId("map-colour");
    const pen = canvas.getContext("2d");
    let nodes = new Map(), placed = [], at = -1, waiting = false, colours = {};

    async function load() {
      const response = await fetch(`${prefix}cells.json`);
      if (!response.ok) return;
      nodes = new Map((await response.json()).map((n) => [n.id, n]));
      choices();
      draw();
    }

    function options(select, first, names) {
      const wanted = [first, ...names].join("\n");
      if (select.dataset.names === wanted) return;
      const chosen = select.value;
      select.replaceChildren(...[first, ...names].map((name, i) => new Option(name, i ? name : "")));
      select.dataset.names = wanted;
      if (names.includes(chosen)) select.value = chosen;
    }

    function choices() {
      const labels = new Set(), resources = new Set();
      for (const n of nodes.values()) {
        Object.keys(n.labels ?? {}).forEach((key) => labels.add(key));
        Object.keys(n.shares ?? {}).forEach((name) => resources.add(name));
      }
      options(group, "nothing", [...labels].sort());
      options(colour, "what is used most", [...resources]);
    }

    function share(n) {
      const all = n.shares ?? {};
      if (colour.value) return all[colour.value] ?? [0, 0];
      return Object.values(all).reduce((most, s) => (s[0] + s[1] > most[0] + most[1] ? s : most), [0, 0]);
    }

    function groups() {
      const all = new Map();
      for (const n of nodes.values()) {
        const name = group.value ? n.labels?.[group.value] ?? "without" : "";
        if (!all.has(name)) all.set(name, []);
        all.get(name).push(n);
      }
      return [...all].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    }

    // Cells are as large as all of them allow. Devices are boxes where there is room.
    function draw() {
      waiting = false;
      byId("map").hidden = nodes.size === 0;
      const width = canvas.clientWidth, scale = devicePixelRatio || 1;
      if (!width) return;
      const size = nodes.size > 4000 ? 7 : nodes.size > 1000 ? 11 : nodes.size > 200 ? 18 : 26, gap = size > 10 ? 2 : 1, title = group.value ? 18 : 0;
      const columns = Math.max(1, Math.floor(width / (size + gap)));
      const sorted = groups();
      const height = sorted.reduce((sum, [, members]) => sum + title + Math.ceil(members.length / columns) * (size + gap) + 4, 0);
      canvas.width = width * scale; canvas.height = height * scale; canvas.style.height = `${height}px`;
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      const style = getComputedStyle(document.documentElement);
      for (const name of ["ink", "used", "held", "free", "shut", "bad", "link"]) colours[name] = style.getPropertyValue(`--${name}`);
      const focus = placed[at]?.node.id;
      placed = [];
      let top = 0;
      for (const [name, members] of sorted) {
        if (title) {
          pen.fillStyle = colours.ink; pen.font = "13px system-ui, sans-serif"; pen.textBaseline = "top";
          pen.fillText(`${name} (${members.length})`, 0, top + 2, width);
          top += title;
        }
        members.forEach((node, i) => {
          const cell = { node, x: (i % columns) * (size + gap), y: top + Math.floor(i / columns) * (size + gap), size, columns };
          placed.push(cell);
          paint(cell);
        });
        top += Math.ceil(members.length / columns) * (size + gap) + 4;
      }
      at = focus === undefined ? -1 : placed.findIndex((cell) => cell.node.id === focus);
      frame();
    }

    function paint({ node, x, y, size }) {
      const [used, held] = share(node), full = (part) => Math.round((size * part) / 100);
      pen.fillStyle = colours.free; pen.fillRect(x, y, size, size);
      pen.fillStyle = colours.used; pen.fillRect(x, y + size - full(used), size, full(used));
      pen.fillStyle = colours.held; pen.fillRect(x, y + size - full(used) - full(held), size, full(held));
      if (node.state !== "ready") {
        pen.strokeStyle = pen.fillStyle = node.state === "lost" ? colours.bad : colours.shut;
        if (size < 10) pen.fillRect(x, y, size, size);
        else { pen.lineWidth = 2; pen.strokeRect(x + 1, y + 1, size - 2, size - 2); pen.beginPath(); pen.moveTo(x, y); pen.lineTo(x + size, y + size); pen.stroke(); }
      }
      const devices = node.devices ?? [];
      if (size < 18 || !devices.length) { if (devices.includes(-1)) { pen.fillStyle = colours.bad; pen.fillRect(x + size / 2, y, size / 2, size / 2); } return; }
      const across = Math.ceil(Math.sqrt(devices.length)), box = Math.floor((size - 4) / across);
      devices.forEach((free, i) => {
        const left = x + 2 + (i % across) * box, high = y + 2 + Math.floor(i / across) * box;
        pen.fillStyle = free < 0 ? colours.bad : free === 0 ? colours.used : colours.free;
        pen.fillRect(left, high, box - 1, box - 1);
        pen.strokeStyle = colours.ink; pen.lineWidth = 0.5; pen.strokeRect(left + 0.25, high + 0.25, box - 1.5, box - 1.5);
      });
    }

    function describe(n) {
      const shares = Object.entries(n.shares ?? {}).map(([name, [used, held]]) => `${name} ${used} % used${held ? `, ${held} % held` : ""}`);
      const broken = (n.devices ?? []).flatMap((free, i) => (free < 0 ? [i] : []));
      const labels = Object.entries(n.labels ?? {}).map(([key, value]) => `${key}=${value}`);
      return [`${n.id}: ${n.state}`, ...shares, ...(broken.length ? [`broken devices ${broken.join(", ")}`] : []), ...labels].join("; ");
    }

    function frame() {
      if (at < 0 || !placed[at]) return;
      const { x, y, size, node } = placed[at];
      pen.strokeStyle = colours.ink; pen.lineWidth = 2; pen.strokeRect(x + 1, y + 1, size - 2, size - 2);
      text.textContent = describe(node);
    }

    function choose(i) {
      if (!placed.length) return;
      if (placed[at]) paint(placed[at]);
      at = Math.max(0, Math.min(placed.length - 1, i));
      frame();
    }

    function later() {
      if (!waiting) { waiting = true; requestAnimationFrame(draw); }
    }

    const under = (event) => placed.findIndex(({ x, y, size }) => event.offsetX >= x && event.offsetX < x + size && event.offsetY >= y && event.offsetY < y + size);
    canvas.addEventListener("mousemove", (event) => { const i = under(event); if (i >= 0 && i !== at) choose(i); });
    const show = () => { if (placed[at]) location.search = `?${new URLSearchParams({ filter: placed[at].node.id })}`; };
    canvas.addEventListener("click", (event) => { const i = under(event); if (i >= 0) { choose(i); show(); } });
    canvas.addEventListener("keydown", (event) => {
      const row = placed[Math.max(0, at)]?.columns ?? 1;
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + row, ArrowUp: at - row, Home: 0, End: placed.length - 1 }[event.key];
      if (to !== undefined) { event.preventDefault(); choose(to); }
      if (event.key === "Enter") show();
    });
    group.addEventListener("change", draw);
    colour.addEventListener("change", draw);
    addEventListener("resize", later);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", later);
    load();

    return {
      update(u) {
        if (u.all) { load(); return; }
        if (!u.gone?.length && !u.cells?.length) return;
        for (const id of u.gone ?? []) nodes.delete(id);
        for (const n of u.cells ?? []) nodes.set(n.id, n);
        choices();
        later();
      },
    };
  })();

  listen(seen);
})();
