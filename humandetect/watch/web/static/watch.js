// All cameras in a grid, or one of them large: `#door`.

import { at, element } from "./parts.js";

const AGAIN = 2000; // milliseconds until the next try to connect
const MOST = 200; // events in the list
const cameras = new Map(); // by name: { status, tile, img, ... }
const events = new Map(); // by id, oldest first
let chosen = null; // the large camera
let socket = null;
let again = 0;
let heard = null; // events that are told while those of before are asked for

const HOURS = [...Array(24).keys()];
const GLYPHS = { crossing: "⇄", enter: "→", exit: "←", loiter: "◷", crowd: "⁂", gap: "…", camera: "◉" };
const SEEN = ["live", "late"];

const people = (count) => (count === 1 ? "1 person" : `${count} people`);
const path = (name, rest = "") => `cameras/${encodeURIComponent(name)}${rest}`;

// What the server tells

function connect() {
  clearTimeout(again);
  if (socket || document.hidden) return;
  socket = new WebSocket(new URL("v1/live", location.href.replace(/^http/, "ws")));
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    look();
    recall().catch(() => {}); // what happened before it was open
  };
  socket.onmessage = ({ data }) => (typeof data === "string" ? hear(JSON.parse(data)) : show(data));
  socket.onclose = () => {
    socket = null;
    if (document.hidden) return;
    tell("The server is away; trying again …", true);
    again = setTimeout(start, AGAIN);
  };
}

const say = (what) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(what));
const look = () => say({ look: chosen === null ? null : [chosen] });

function hear(said) {
  if (said.cameras) {
    refresh(said.cameras);
  } else if (said.event) {
    add(said.event);
    heard?.push(said.event);
    list();
    if (said.event.source === chosen) recount ??= setTimeout(() => count().catch(() => {}), 500);
  }
}

// The length of a name, the name, a JPEG.
async function show(data) {
  const length = new DataView(data).getUint16(0);
  const name = new TextDecoder().decode(data.slice(2, 2 + length));
  const camera = cameras.get(name);
  try {
    if (camera) await paint(camera, URL.createObjectURL(new Blob([data.slice(2 + length)], { type: "image/jpeg" })));
  } finally {
    say({ seen: name });
  }
}

async function paint(camera, url) {
  const next = Object.assign(new Image(), { src: url, alt: `What ${camera.status.name} shows` });
  try {
    await next.decode();
    camera.img.replaceWith(next);
    camera.img = next;
  } finally {
    URL.revokeObjectURL(url);
  }
}

// Cameras

function refresh(statuses) {
  for (const name of [...cameras.keys()].filter((one) => !statuses.some((status) => status.name === one))) {
    cameras.get(name).tile.remove();
    cameras.delete(name);
  }
  for (const status of statuses) {
    if (!cameras.has(status.name)) cameras.set(status.name, made(status.name));
    write(Object.assign(cameras.get(status.name), { status }));
  }
  at("edit").hidden = !cameras.get(chosen)?.status.has_scene_file;
  const seen = statuses.filter(({ state }) => SEEN.includes(state));
  const all = statuses.reduce((sum, status) => sum + (status.people ?? 0), 0);
  tell(`${seen.length} of ${statuses.length} live · ${people(all)}`);
}

function made(name) {
  const tile = element("a", "camera");
  tile.href = `#${encodeURIComponent(name)}`;
  tile.dataset.camera = name;
  const view = element("div", "view");
  const img = document.createElement("img");
  img.alt = "";
  img.hidden = true;
  const away = element("div", "away");
  view.append(img, away);
  const says = element("div", "says");
  const count = element("span", "people");
  says.append(element("span", "name", name), count);
  const more = element("div", "more");
  tile.append(view, says, more);
  tile.classList.toggle("large", name === chosen);
  at("cameras").append(tile);
  return { tile, img, away, count, more };
}

function write({ status, away, count, more, img }) {
  const { state, reason, totals, occupancy, delay_seconds: delay } = status;
  const seen = SEEN.includes(state);
  away.replaceChildren(...(seen ? [] : [element("strong", "", state), ...(reason ? [element("span", "", reason)] : [])]));
  img.hidden = !img.src;
  count.textContent = seen && status.people !== null ? people(status.people) : "";
  const words = [element("span", `state ${state}`, state)];
  if (seen && delay !== null) words.push(element("span", "", `${delay.toFixed(delay < 10 ? 1 : 0)} s behind`));
  if (!seen) words.push(element("span", "", `since ${clock(status.since)}`));
  for (const [line, sums] of Object.entries(totals)) words.push(element("span", "", `${line} ${sums.in} in, ${sums.out} out`));
  for (const [zone, inside] of Object.entries(occupancy)) words.push(element("span", "", `${zone} ${inside}`));
  if (status.spared) words.push(element("span", "", `${Math.round((100 * status.spared) / (status.spared + status.detected))} % of looks spared`));
  if (status.recording) words.push(element("span", "recording", "recording"));
  more.replaceChildren(...words);
}

// Events

const clock = (moment) => new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function sentence(event) {
  const { event: kind, line, zone, direction, dwell_seconds: dwell, state, reason } = event;
  if (kind === "crossing") return `${direction === "in" ? "In" : "Out"} over ${line}`;
  if (kind === "enter") return `Entered ${zone}`;
  if (kind === "exit") return `Left ${zone}${dwell === undefined ? "" : ` after ${Math.round(dwell)} s`}`;
  if (kind === "loiter") return `Stays in ${zone}${dwell === undefined ? "" : `, ${Math.round(dwell)} s`}`;
  if (kind === "crowd") return `Crowd in ${zone}`;
  if (kind === "gap") return `Saw nothing for a while${reason ? `: ${reason}` : ""}`;
  return `${(state ?? kind).replace(/^./, (letter) => letter.toUpperCase())}${reason ? `: ${reason}` : ""}`;
}

function add(event) {
  events.set(event.id, event);
  for (const id of events.keys()) {
    if (events.size <= MOST) break;
    events.delete(id);
  }
}

function rowOf(event) {
  const row = element("li");
  const crop = element("div", "crop", event.picture ? "" : (GLYPHS[event.event] ?? "·"));
  if (event.picture) crop.append(Object.assign(document.createElement("img"), { src: event.picture, alt: "", loading: "lazy" }));
  const words = element("div");
  words.append(element("p", "", sentence(event)));
  if (chosen === null) words.append(element("p", "where", event.source));
  row.append(crop, words);
  if (event.wall_time) row.append(Object.assign(element("time", "", clock(event.wall_time)), { dateTime: event.wall_time }));
  return row;
}

const rows = new Map(); // by event: what is shown is not made again

function list() {
  const wanted = [...events.values()].filter((event) => chosen === null || event.source === chosen).reverse();
  const made = wanted.map((event) => {
    if (!rows.has(event)) rows.set(event, rowOf(event));
    return rows.get(event);
  });
  at("events").replaceChildren(...made);
  for (const event of rows.keys()) if (events.get(event.id) !== event) rows.delete(event);
}

async function recall() {
  heard = [];
  const { events: known } = await ask(`v1/events?limit=${MOST}${chosen === null ? "" : `&camera=${encodeURIComponent(chosen)}`}`);
  events.clear();
  rows.clear();
  for (const event of [...known.reverse(), ...(heard ?? [])]) add(event);
  heard = null;
  list();
}

// Counts

let recount = null; // several events that come together are counted once

async function count() {
  recount = null;
  if (chosen === null) return;
  const name = chosen;
  const { counts } = await ask(`v1/counts?camera=${encodeURIComponent(name)}`);
  if (chosen !== name) return;
  at("count-list").replaceChildren(...counts.map(sumsOf));
}

function sumsOf(sums) {
  const row = element("li", sums.kind);
  const text = sums.kind === "line" ? `${sums.in} in · ${sums.out} out` : `${sums.visits} visits · at most ${sums.inside_max}`;
  const bars = element("div", "hours");
  const most = Math.max(1, ...sums.hours);
  for (const hour of HOURS) {
    const bar = element("i");
    bar.style.height = `${(100 * sums.hours[hour]) / most}%`;
    bar.title = `${hour}:00: ${sums.hours[hour]}`;
    bars.append(bar);
  }
  const scale = element("div", "scale");
  scale.append(...["0", "6", "12", "18", "24"].map((hour) => element("span", "", hour)));
  row.append(element("span", "name", sums.name), element("span", "sums", text), bars, scale);
  return row;
}

// What people do

async function ask(url, options) {
  const response = await fetch(url, options);
  if (response.status === 401) {
    at("key").hidden = false;
    at("key-text").focus();
    throw new Error("key");
  }
  if (!response.ok) throw new Error(`${response.status}`);
  return response.status === 204 ? null : response.json();
}

function tell(text, away = false) {
  at("told").textContent = text;
  at("told").classList.toggle("away", away);
}

async function choose() {
  chosen = location.hash.length > 1 ? decodeURIComponent(location.hash.slice(1)) : null;
  at("title").textContent = chosen ?? "Cameras";
  document.title = `humandetect: ${chosen ?? "cameras"}`;
  at("back").hidden = at("counts").hidden = chosen === null;
  at("edit").href = chosen === null ? "#" : path(chosen, "/scene");
  at("count-list").replaceChildren();
  for (const [name, { tile }] of cameras) tile.classList.toggle("large", name === chosen);
  look();
  await Promise.all([recall(), count()]);
}

async function start() {
  try {
    await choose();
    connect();
  } catch (error) {
    if (error.message === "key") return tell("");
    tell("The server is away; trying again …", true);
    again = setTimeout(start, AGAIN);
  }
}

at("key").onsubmit = async (event) => {
  event.preventDefault();
  const response = await fetch("v1/session", { method: "POST", headers: { "X-API-Key": at("key-text").value } });
  if (!response.ok) {
    at("key-told").textContent = "That key is not the right one.";
    return;
  }
  at("key").hidden = true;
  at("key-text").value = "";
  start();
};
at("back").onclick = (event) => {
  event.preventDefault();
  history.pushState(null, "", location.pathname);
  start();
};
window.onhashchange = start;
window.onpopstate = start;
document.addEventListener("visibilitychange", () => (document.hidden ? socket?.close() : start()));
setInterval(() => !document.hidden && count().catch(() => {}), 30_000);
start();
