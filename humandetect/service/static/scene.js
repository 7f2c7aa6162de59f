// The page where lines and zones are drawn on a picture: `/scene` of the server, and what `humandetect scene` opens.

import { at, copies, drops, element, quoted, selectedTab, tabs } from "./parts.js";
import { apart, pictureOf, pictureOfDraft, reach } from "./scene_drawn.js";
import { CORNERS, faultOf, MORE, MOST_SHAPES, optionsOf, Refusal, shapesOf, tablesOf, tomlOf } from "./scene_text.js";

const drawing = at("drawing");
const command = JSON.parse(document.body.dataset.drawing); // { source, file, scene, pixel_aspect } where the scene is saved to a file; `back`: for a camera that is watched
const DRAG = 8; // pixels of the screen: less is a click
const LINE_ENDS = 2;

let size = null; // of the picture, width and height
let shapes = [];
let settled = "[]"; // the shapes before what is being done to them
let undone = { before: [], after: [] }; // earlier and later states of them
let kept = settled; // what was saved, downloaded or loaded last
let selected = -1;
let picked = -1; // a point of the selected shape
let draft = null; // { kind, points } of a shape that is not finished
let hover = null; // where the pointer is meanwhile
let drag = null;

const unit = () => document.querySelector("[name=unit]:checked").value;
const pixel = () => size[0] / (drawing.getBoundingClientRect().width || size[0]); // pixels of the picture for one of the screen

// The picture

async function show(url, name) {
  const picture = Object.assign(new Image(), { id: "picture", src: url, alt: name });
  try {
    await picture.decode();
  } catch {
    throw new Refusal(`${name} is not a picture or video that this browser can show.`);
  }
  at("picture").replaceWith(picture);
  const wanted = [picture.naturalWidth, picture.naturalHeight];
  if (size) for (const shape of shapes) shape.points = shape.points.map(([x, y]) => [(x * wanted[0]) / size[0], (y * wanted[1]) / size[1]]);
  size = wanted;
  drawing.setAttribute("viewBox", `0 0 ${size.join(" ")}`);
  at("board").style.setProperty("--aspect", (size[0] / size[1]) * (command.pixel_aspect ?? 1));
  for (const id of ["board", "line", "zone", "undo", "load", "side", "text"]) at(id).hidden = false;
  at("invitation").hidden = true;
  at("choose").classList.remove("main");
  at("choose").textContent = "Another picture";
  begin(shapes);
}

// A frame from a video's beginning, which like every file here is only read by the browser.
async function frameOf(file) {
  const video = document.createElement("video");
  video.muted = true;
  video.src = URL.createObjectURL(file);
  await new Promise((done, fail) => {
    video.onseeked = done;
    video.onerror = () => fail(new Refusal(`${file.name} is not a video that this browser can show. In a terminal: humandetect scene ${quoted(file.name)}`));
    video.onloadeddata = () => (video.currentTime = Math.min(0.1, video.duration / 2));
  });
  const frame = document.createElement("canvas");
  [frame.width, frame.height] = [video.videoWidth, video.videoHeight];
  frame.getContext("2d").drawImage(video, 0, 0);
  URL.revokeObjectURL(video.src);
  return new Promise((done) => frame.toBlob(done, "image/jpeg", 0.92));
}

async function take(file) {
  if (/\.toml$/i.test(file.name)) {
    if (!size) throw new Refusal("First choose a picture: a scene is drawn on one.");
    open(tablesOf(await file.text()));
    return;
  }
  if (command.file) throw new Refusal(`The scene is drawn on ${command.source}; another picture wants another command.`);
  const picture = file.type.startsWith("video/") ? await frameOf(file) : file;
  await show(URL.createObjectURL(picture), file.name);
}

function open(tables) {
  const read = shapesOf(tables, size);
  document.querySelector(`[name=unit][value="${read.unit}"]`).checked = true;
  begin(read.shapes);
}

// Start with these shapes; what was done before is not undone any more.
function begin(drawn) {
  shapes = drawn;
  settled = kept = JSON.stringify(shapes);
  undone = { before: [], after: [] };
  draft = null;
  select(-1);
}

// Changes: each is settled when it is done, and can then be undone

function settle() {
  note();
  render();
}

function note() {
  const now = JSON.stringify(shapes);
  if (now === settled) return;
  undone = { before: [...undone.before, settled], after: [] };
  settled = now;
  at("undo").disabled = false;
}

function step(from, to) {
  if (draft?.points.length && from === undone.before) {
    draft.points.pop();
  } else if (from.length) {
    to.push(settled);
    settled = from.pop();
    shapes = JSON.parse(settled);
    draft = null;
    selected = picked = -1;
  }
  render();
}

function start(kind) {
  draft = draft?.kind === kind ? null : { kind, points: [] };
  hover = null;
  select(-1);
}

function finish() {
  const { kind, points } = draft;
  draft = null;
  if (points.length >= (kind === "line" ? LINE_ENDS : CORNERS)) add(kind, points);
  render();
}

function add(kind, points) {
  const names = shapes.map((shape) => shape.name);
  let number = 1;
  while (names.includes(`${kind}-${number}`)) number += 1;
  shapes.push({ kind, name: `${kind}-${number}`, points, more: {} });
  [selected, picked] = [shapes.length - 1, -1];
  settle();
}

// For those who have no pointer: a shape in the middle, to be moved by the arrow keys.
function addInTheMiddle(kind) {
  const within = ([x, y]) => [Math.round(x * size[0]), Math.round(y * size[1])];
  const corners = kind === "line" ? [[0.3, 0.5], [0.7, 0.5]] : [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]];
  add(kind, corners.map(within));
  drawing.querySelector(".reach")?.focus();
}

function place(point) {
  const { kind, points } = draft;
  const closes = kind === "zone" && points.length >= CORNERS && apart(point, points[0]) < reach(pixel());
  if (closes) return finish();
  if (!points.some((one) => apart(one, point) < pixel())) points.push(point); // the second of a double click adds nothing
  if (kind === "line" && points.length === LINE_ENDS) return finish();
  return render();
}

function flip(index) {
  shapes[index].points.reverse();
  settle();
}

function remove() {
  const shape = shapes[selected];
  if (picked >= 0 && shape.kind === "zone" && shape.points.length > CORNERS) {
    shape.points.splice(picked, 1);
    picked = -1;
  } else {
    shapes.splice(selected, 1);
    selected = picked = -1;
  }
  settle();
}

// Move the picked point, or the whole shape, as far as the picture goes.
function shift(by) {
  const { points } = shapes[selected];
  const moved = picked >= 0 ? [points[picked]] : points;
  for (const axis of [0, 1]) {
    const along = moved.map((point) => point[axis]);
    const most = Math.max(0, size[axis] - Math.max(...along));
    const step = Math.min(Math.max(by[axis], Math.min(0, -Math.min(...along))), most);
    for (const point of moved) point[axis] += step;
  }
}

function select(index, point = -1) {
  [selected, picked] = [index, point];
  render();
}

const clamped = (point) => point.map((value, axis) => Math.round(Math.min(Math.max(value, 0), size[axis])));

// Pointers

function placeOf(event) {
  const { left, top, width, height } = drawing.getBoundingClientRect();
  return clamped([((event.clientX - left) / width) * size[0], ((event.clientY - top) / height) * size[1]]);
}

drawing.onpointerdown = (event) => {
  const { shape, point, between, flips } = event.target.dataset;
  if (event.button || !event.isPrimary || flips) return;
  const from = placeOf(event);
  if (draft) {
    drag = { from };
  } else if (shape === undefined) {
    select(-1);
    return;
  } else {
    const was = selected;
    selected = Number(shape);
    picked = Number(point ?? -1);
    if (between !== undefined) {
      picked = Number(between) + 1;
      shapes[selected].points.splice(picked, 0, from);
    }
    // What is touched to be seen is not moved by the same touch.
    drag = was === selected || picked >= 0 || event.pointerType === "mouse" ? { from, last: from } : null;
    render();
    at("shapes").children[selected]?.scrollIntoView({ block: "nearest" });
  }
  if (drag) drawing.setPointerCapture(event.pointerId);
};
drawing.onpointermove = (event) => {
  if (!size || !event.isPrimary) return;
  hover = placeOf(event);
  if (draft) {
    sketch();
  } else if (drag && (drag.moves ||= apart(hover, drag.from) > (picked >= 0 ? 0 : DRAG / 2) * pixel())) {
    shift(hover.map((value, axis) => value - drag.last[axis]));
    drag.last = hover;
    sketch();
  }
};
drawing.onpointerup = (event) => {
  if (!drag) return;
  const { from } = drag;
  drag = null;
  if (!draft) {
    settle();
    return;
  }
  const to = placeOf(event);
  if (draft.kind === "line" && !draft.points.length && apart(from, to) > DRAG * pixel()) place(from);
  place(to);
};
drawing.onpointercancel = () => {
  drag = null;
  shapes = JSON.parse(settled);
  render();
};
drawing.onpointerleave = () => {
  hover = null;
  if (draft && !drag) sketch();
};
drawing.ondblclick = () => draft?.points.length >= CORNERS && finish();
drawing.onclick = (event) => event.target.dataset.flips && flip(Number(event.target.dataset.flips));
// Not on the drawing itself, which would become a stop for Tab by that.
at("board").addEventListener("focusin", ({ target: { dataset } }) => {
  const [shape, point] = [Number(dataset.shape), Number(dataset.point)];
  if (dataset.point && !drag && (selected !== shape || picked !== point)) select(shape, point);
});

// Keys

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

document.addEventListener("keydown", (event) => {
  if (!size || event.target.matches("input:not([type=radio])")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const act = actionOf(key, event);
  if (!act) return;
  event.preventDefault();
  act();
});

function actionOf(key, event) {
  if (event.ctrlKey || event.metaKey) {
    if (key === "y" || (key === "z" && event.shiftKey)) return () => step(undone.after, undone.before);
    return key === "z" ? () => step(undone.before, undone.after) : null;
  }
  const flips = event.target.dataset.flips;
  if ((key === "Enter" || key === " ") && flips) return () => flip(Number(flips));
  if (key === "Escape" && draft) return () => start(draft.kind);
  if (key === "Escape") return () => select(-1);
  if (key === "Enter" && draft && !event.target.matches("button")) return finish;
  if (selected < 0 || event.target.matches("[role=tab], [type=radio], pre")) return null;
  if (key === "Delete" || key === "Backspace") return remove;
  const way = ARROWS[key];
  return way && (() => {
    shift(way.map((one) => one * (event.shiftKey ? 10 : 1)));
    settle();
  });
}

// Showing

function render() {
  if (!size) return;
  sketch();
  list();
  at("line").setAttribute("aria-pressed", draft?.kind === "line");
  at("zone").setAttribute("aria-pressed", draft?.kind === "zone");
  at("line").disabled = at("zone").disabled = shapes.length >= MOST_SHAPES && !draft;
  at("done").hidden = !(draft?.points.length >= CORNERS);
  at("undo").disabled = !(undone.before.length || draft?.points.length);
  at("hint").textContent = hint();
}

// The drawing and the text: all that changes while a point is dragged.
function sketch() {
  const focused = document.activeElement?.dataset?.key;
  drawing.classList.toggle("draws", Boolean(draft));
  const view = { shapes, selected: draft ? -1 : selected, picked, size, pixel: pixel() };
  const pictures = shapes.map((shape, index) => pictureOf(shape, index, view));
  drawing.replaceChildren(...pictures, ...(draft ? [pictureOfDraft(draft, hover, view.pixel)] : []));
  if (focused) drawing.querySelector(`[data-key="${focused}"]`)?.focus({ preventScroll: true });
  write();
}

function list() {
  at("shapes").replaceChildren(...shapes.map(rowOf));
}

function rowOf(shape, index) {
  const { kind, name } = shape;
  const row = element("li", `${kind}${index === selected ? " selected" : ""}`);
  const field = input("text", name, (value) => (shape.name = value));
  field.setAttribute("aria-label", `Name of ${kind} ${name}`);
  field.maxLength = 40;
  const wrong = element("p", "wrong", faultOf(shape, shapes));
  row.append(element("i", kind), field);
  if (kind === "line") row.append(button("Flip", `Flip in and out of ${name}`, () => flip(index)));
  row.append(button("×", `Delete ${name}`, () => {
    select(index);
    remove();
  }));
  row.append(moreOf(shape), wrong);
  row.addEventListener("focusin", () => {
    if (selected === index) return;
    [selected, picked] = [index, -1];
    for (const one of at("shapes").children) one.classList.toggle("selected", one === row);
    sketch();
  });
  return row;
}

const SHOWN = {
  in: ["text", "In is called", "in"],
  out: ["text", "Out is called", "out"],
  loiter_seconds: ["number", "Loiter, seconds", "none"],
  max_people: ["number", "Most people", "any"],
};

function moreOf(shape) {
  const all = element("div", "more");
  for (const key of MORE[shape.kind].filter((one) => SHOWN[one])) {
    const [kind, text, placeholder] = SHOWN[key];
    const label = element("label", "", text);
    const field = input(kind, shape.more[key] ?? "", (value) => {
      if (value === "") delete shape.more[key];
      else shape.more[key] = kind === "number" ? Number(value) : value;
    });
    if (kind === "number") Object.assign(field, { min: 0, step: key === "max_people" ? 1 : "any" });
    field.placeholder = placeholder;
    label.append(field);
    all.append(label);
  }
  return all;
}

function input(type, value, change) {
  const field = document.createElement("input");
  Object.assign(field, { type, value, autocomplete: "off", spellcheck: false });
  field.oninput = () => {
    if (!field.checkValidity()) return;
    change(field.value);
    sketch();
    [...at("shapes").children].forEach((row, index) => {
      row.querySelector(".wrong").textContent = faultOf(shapes[index], shapes);
    });
  };
  field.onchange = note; // without rendering: the focus may be on its way to the next field
  field.onkeydown = (event) => {
    if (event.key === "Enter" || event.key === "Escape") field.blur();
  };
  return field;
}

function button(text, label, act) {
  const made = element("button", "", text);
  made.type = "button";
  made.setAttribute("aria-label", label);
  made.onclick = act;
  return made;
}

function write() {
  const form = selectedTab() === "file" ? tomlOf : optionsOf;
  at("code").textContent = form(shapes, size, unit());
  at("save").disabled = !shapes.length || shapes.some((shape) => faultOf(shape, shapes));
}

function hint() {
  if (draft?.kind === "line") return draft.points.length ? "Now where it ends." : "Click where the line begins.";
  if (draft) return draft.points.length < CORNERS ? "Click the zone's corners." : "More corners, or Done: click the first one again.";
  if (selected >= 0) return shapes[selected].kind === "line" ? "Drag its ends. The arrow shows what counts as in: click it to flip." : "Drag its corners; the small dots make new ones.";
  return shapes.length ? "Click a shape to change it." : "Add a line to count who crosses it, or a zone to count who is in it.";
}

function say(text, { plain = false } = {}) {
  at("message").textContent = text;
  at("message").hidden = !text;
  at("message").classList.toggle("plain", plain);
}

// Do what may fail, and tell it if so.
async function attempt(act) {
  say("");
  try {
    await act();
  } catch (error) {
    if (!(error instanceof Refusal)) console.error(error);
    say(error instanceof Refusal ? error.message : `Something went wrong in this page: ${error.message}`);
  }
}

// Saving

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([tomlOf(shapes, size, unit())], { type: "application/toml" }));
  link.download = "scene.toml";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  kept = JSON.stringify(shapes);
}

async function save() {
  let response;
  try {
    response = await fetch("scene", { method: "POST", body: tomlOf(shapes, size, unit()) });
  } catch {
    throw new Refusal(`${command.back ? "The server is away" : "The command has ended"}, so nothing was saved: copy the text below.`);
  }
  const { message, path } = await response.json();
  if (!response.ok) throw new Refusal(`${message}.`);
  kept = JSON.stringify(shapes);
  const next = command.back ? "The camera counts by it from now on." : "The command has ended; this page can be closed.";
  say(`Saved: ${path}. ${next}`, { plain: true });
}

for (const kind of ["line", "zone"]) at(kind).onclick = (event) => (event.detail ? start(kind) : addInTheMiddle(kind));
at("done").onclick = finish;
at("undo").onclick = () => step(undone.before, undone.after);
at("save").onclick = () => attempt(command.file ? save : download);
for (const [opens, field] of [["choose", "file"], ["load", "scene-file"]]) {
  at(opens).onclick = () => at(field).click();
  at(field).onchange = ({ target }) => {
    const [file] = target.files;
    if (file) attempt(() => take(file)).then(() => (target.value = ""));
  };
}
for (const choice of document.querySelectorAll("[name=unit]")) choice.onchange = write;
drops(at("stage"), ([file]) => file && attempt(() => take(file)));
window.onresize = () => size && sketch();
window.onbeforeunload = (event) => {
  if (kept !== JSON.stringify(shapes)) event.preventDefault();
};
copies(at("copy"), at("code"));
tabs(write);

if (command.file) {
  const last = (path) => path.split(/[\\/]/).at(-1) || path;
  at("told").textContent = `${last(command.source)} · Save writes ${last(command.file)}`;
  at("tab-file").textContent = last(command.file);
  at("save").textContent = "Save";
  at("others").hidden = at("choose").hidden = true;
  if (command.back) {
    const back = Object.assign(element("a", "", "All cameras"), { href: command.back });
    at("others").replaceChildren(back);
    at("others").hidden = false;
  }
  attempt(async () => {
    await show("scene/picture", command.source);
    open(command.scene);
  });
}
