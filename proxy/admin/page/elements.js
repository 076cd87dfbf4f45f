// Puts texts into the page: into tables, lists and single elements. Whatever comes from the gateway is set as text, never
// as markup. It must not know what any of it means.

export const byId = (id) => document.getElementById(id);

// Only what changed is touched: a selection stays, and a screen reader hears news only.
export function put(element, text, tone = "") {
  if (element.textContent !== text) element.textContent = text;
  if ((element.dataset.tone ?? "") !== tone) element.dataset.tone = tone;
}

export function child(parent, index, tag) {
  const there = parent.children[index];
  if (there && there.localName === tag) return there;
  const made = document.createElement(tag);
  if (there) there.replaceWith(made);
  else parent.append(made);
  return made;
}

export function trim(parent, length) {
  while (parent.children.length > length) parent.lastElementChild.remove();
}

// A cell is a text, or {text, note, tone}: the note stands below in small print.
export function cell(element, content) {
  const { text, note = "", tone = "" } = typeof content === "string" ? { text: content } : content;
  put(child(element, 0, "span"), text, tone);
  trim(element, note ? 2 : 1);
  if (!note) return;
  const small = child(element, 1, "span");
  small.className = "note";
  put(small, note);
}

export function table(id, rows, nothing) {
  const body = byId(id);
  const heads = body.parentElement.tHead.rows[0].cells;
  const shown = rows.length ? rows : [[{ text: "", note: nothing }]];
  trim(body, shown.length);
  shown.forEach((cells, y) => {
    const row = child(body, y, "tr");
    trim(row, cells.length);
    cells.forEach((content, x) => {
      const element = child(row, x, x || !rows.length ? "td" : "th");
      element.className = heads[x].className;
      if (element.localName === "th") element.scope = "row";
      element.colSpan = rows.length ? 1 : heads.length;
      cell(element, content);
    });
  });
}

export function list(id, pairs) {
  const element = byId(id);
  trim(element, 2 * pairs.length);
  pairs.forEach(([name, value, tone], index) => {
    put(child(element, 2 * index, "dt"), name);
    put(child(element, 2 * index + 1, "dd"), value, tone);
  });
}
