"use strict";
// Follows the state: one stream tells that it has changed, and then the page is
// fetched again and its parts take the places of the old ones. What somebody is typing
// in, and how far a list is scrolled, stays.
(() => {
  const script = document.currentScript;
  if (script.dataset.fixed) return;
  const parts = ["verdict", "nodes", "capacity", "quotas", "reservations", "members", "events"];
  let busy = false, again = false;

  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.pathname + location.search, { cache: "no-store" });
      if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      stale();
    }
    busy = false;
    if (again) { again = false; refresh(); }
  }

  function show(next) {
    document.title = next.title;
    for (const id of parts) {
      const old = document.getElementById(id), fresh = next.getElementById(id);
      if (!old || !fresh || old.contains(document.activeElement) && document.activeElement.matches("input, textarea")) continue;
      const before = old.querySelector(".scroll"), top = before ? before.scrollTop : 0, left = before ? before.scrollLeft : 0;
      old.replaceWith(fresh);
      const after = fresh.querySelector(".scroll");
      if (after) { after.scrollTop = top; after.scrollLeft = left; }
    }
  }

  function stale() {
    if (!document.title.startsWith("(no answer) ")) document.title = "(no answer) " + document.title;
  }

  const stream = new EventSource(script.dataset.stream);
  stream.onmessage = refresh;
  stream.onerror = stale;
})();
