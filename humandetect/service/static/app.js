// The page: takes a picture from a file, the clipboard or the camera, asks the server, draws what it answers.

import { at, copies, drops, element, quoted, selectedTab, tabs } from "./parts.js";

const LOWEST_SCORE = 0.01; // asked for, so that the slider can show more without asking again
const PASSED_ON = ["image/jpeg", "image/png"]; // anything else that the browser can show is sent as JPEG
const VIDEO = /\.(avi|m4v|mkv|mov|mp4|mpe?g|webm|wmv)$/i;
const CANVAS_PIXELS = 16e6; // Safari draws nothing on a larger canvas
const SMALLEST = 640; // pixels of the longer side: what is too large even so is left to the server to refuse
const TRIES = 5;
const BOX = "#82e646";
const AWAY = "The server does not answer. Is humandetect serve still running?";

const canvas = at("canvas");
const pen = canvas.getContext("2d");

let limits = { image_mb: 5, megapixels: 50 }; // of the server; the usual ones until it tells
const told = fetch("limits").then((response) => response.json()).then((answer) => (limits = answer), () => limits);
let shown = null; // { picture, blob, name, note, answer }: what was sent is called `name`; a note where it was made here
let key = "";
let retry = null; // what was asked when the key was missing
let newest = 0; // number of the latest picture: answers to older ones come too late

// Asking

class Refusal extends Error {}

async function ask(blob, { accept = "application/json", score = LOWEST_SCORE, patient = true } = {}) {
  const headers = { "Content-Type": blob.type, Accept: accept };
  if (key) headers.Authorization = `Bearer ${key}`;
  for (let attempt = 1; ; attempt += 1) {
    let response;
    try {
      response = await fetch(`v1/detect?score=${score}`, { method: "POST", body: blob, headers });
    } catch {
      throw new Refusal(AWAY);
    }
    if (response.ok) return accept === "image/jpeg" ? response.blob() : response.json();
    if (response.status === 503 && patient && attempt < TRIES) {
      say("The server is busy. Trying again …", { plain: true });
      await pause(1000 * (Number(response.headers.get("Retry-After")) || 1));
      continue;
    }
    throw await refusal(response);
  }
}

async function refusal(response) {
  const told = await response.json().then((body) => body.message, () => "");
  if (response.status === 401) {
    at("key").hidden = false;
    at("key-text").focus();
    return new Refusal(key ? "That key is not the right one." : "This server asks for an API key.");
  }
  if (response.status === 413) return new Refusal(`That image is too large for this server. ${sentence(told)}`);
  return new Refusal(told ? sentence(told) : `The server answered ${response.status}.`);
}

const sentence = (text) => text && `${text[0].toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// One picture

async function detect(file, name) {
  camera.stop();
  const mine = (newest += 1);
  retry = () => detect(file, name);
  say("");
  at("stage").classList.add("busy");
  try {
    const { said, ...sent } = await prepared(file, name);
    const answer = await ask(sent.blob);
    if (mine !== newest) return;
    shown = { ...sent, picture: await seen(sent), answer };
    if (mine !== newest) return;
    say(said, { plain: true });
    show();
  } catch (error) {
    if (mine === newest) fail(error);
  } finally {
    if (mine === newest) at("stage").classList.remove("busy");
  }
}

// What may be shown of a picture: where the server hides people, only its own picture of them, with its boxes.
async function seen({ blob, picture }) {
  const { anonymize } = await told;
  return anonymize ? createImageBitmap(await ask(blob, { accept: "image/jpeg", score: lowest() })) : picture;
}

// What is sent of a file: itself if the server takes it, else a JPEG of the same picture, upright and no larger than allowed.
async function prepared(file, name) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    throw new Refusal(unreadable(file, name));
  }
  const fits = file.size < limits.image_mb * 1e6 && picture.width * picture.height <= limits.megapixels * 1e6;
  if (fits && PASSED_ON.includes(file.type)) return { picture, blob: file, name, note: "", said: "" };
  const { blob, width, height } = await jpegWithin(picture);
  const stem = name.replace(/\.\w+$/, "");
  if (fits) {
    const kind = (file.type || "The file").replace("image/", "").toUpperCase();
    const said = `${kind} was sent as JPEG: the server takes JPEG and PNG.`;
    return { picture, blob, name: `${stem}.jpg`, note: `${name} went as a JPEG`, said };
  }
  const most = `${limits.image_mb} MB, ${limits.megapixels} megapixels`;
  const said = `That picture is larger than this server takes (${most}): a copy of ${width} x ${height} was sent.`;
  return { picture, blob, name: `${stem}_small.jpg`, note: `${name} went as a JPEG of ${width} x ${height}`, said };
}

function unreadable(file, name) {
  if (!file.type.startsWith("video/") && !VIDEO.test(name)) {
    return "That is not an image this browser can show. JPEG and PNG always work.";
  }
  return `That is a video, and this page takes pictures. In a terminal: humandetect detect ${quoted(name)}`;
}

async function jpegWithin(picture) {
  const pixels = Math.min(CANVAS_PIXELS, limits.megapixels * 1e6);
  let scale = Math.min(1, Math.sqrt(pixels / (picture.width * picture.height)));
  for (;;) {
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [picture.width, picture.height].map((side) => Math.max(1, Math.floor(side * scale)));
    const brush = copy.getContext("2d");
    brush.imageSmoothingQuality = "high";
    brush.drawImage(picture, 0, 0, copy.width, copy.height);
    const blob = await jpegOf(copy);
    const excess = blob.size / (limits.image_mb * 1e6);
    if (excess < 1 || Math.max(copy.width, copy.height) <= SMALLEST) return { blob, width: copy.width, height: copy.height };
    scale *= Math.min(0.9, Math.sqrt(1 / excess));
  }
}

const jpegOf = (source) => new Promise((done) => source.toBlob(done, "image/jpeg", 0.92));

function problem(error) {
  if (error instanceof Refusal) return error.message;
  console.error(error);
  return `Something went wrong in this page: ${error.message}`;
}

// Showing

// An error stands alone: beside it, the last picture and its people would pass for what it is about.
function fail(error) {
  shown = null;
  canvas.hidden = true;
  at("invitation").hidden = false;
  at("result").classList.add("empty");
  at("count").textContent = at("count-word").textContent = "";
  code();
  say(problem(error));
}

function show() {
  const { picture, answer } = shown;
  const [result] = answer.results;
  at("invitation").hidden = true;
  canvas.hidden = false;
  at("result").classList.remove("empty");
  if (canvas.width !== result.width) canvas.width = result.width;
  if (canvas.height !== result.height) canvas.height = result.height;
  pen.drawImage(picture, 0, 0, result.width, result.height);
  const people = result.people.filter((person) => person.score >= lowest());
  if (!limits.anonymize) drawBoxes(people);
  list(people);
  times(answer.timings_ms);
  at("download").hidden = camera.on;
  code();
}

function drawBoxes(people) {
  const unit = Math.max(canvas.width, canvas.height) / 100;
  const pixel = canvas.clientWidth ? canvas.width / canvas.clientWidth : 1; // of the screen: phones show little ones
  pen.lineWidth = Math.max(2, unit / 4, pixel * 1.5);
  pen.font = `600 ${Math.max(11, unit * 1.5, pixel * 12)}px system-ui, sans-serif`;
  pen.textBaseline = "bottom";
  for (const { box: [x1, y1, x2, y2] } of people) {
    pen.strokeStyle = "rgb(0 0 0 / 45%)";
    pen.strokeRect(x1 - 1, y1 - 1, x2 - x1 + 2, y2 - y1 + 2);
    pen.strokeStyle = BOX;
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
  people.forEach(({ box: [x1, y1] }, index) => {
    const text = `${index + 1}`;
    const height = Math.max(15, unit * 2.1, pixel * 16);
    const top = Math.max(0, y1 - height);
    pen.fillStyle = BOX;
    pen.fillRect(x1 - pen.lineWidth / 2, top, pen.measureText(text).width + height * 0.6, height);
    pen.fillStyle = "#10200a";
    pen.fillText(text, x1 - pen.lineWidth / 2 + height * 0.3, top + height * 0.9);
  });
}

function list(people) {
  at("count").textContent = people.length;
  at("count-word").textContent = people.length === 1 ? "person" : "people";
  at("people").replaceChildren(
    ...people.map(({ score }, index) => {
      const row = document.createElement("li");
      const meter = element("span", "meter");
      meter.append(element("i", ""));
      meter.firstChild.style.width = `${score * 100}%`;
      row.append(element("span", "number", index + 1), meter, element("span", "value", percent(score)));
      return row;
    }),
  );
}

function times(spent) {
  const stages = ["decode", "queue", "infer", "encode"];
  at("total").textContent = `${spent.total.toFixed(0)} ms in the server`;
  at("bar").replaceChildren(
    ...stages.map((stage) => {
      const part = element("i", stage);
      part.style.flexGrow = spent[stage];
      return part;
    }),
  );
  at("stages").replaceChildren(
    ...stages.flatMap((stage) => {
      const term = document.createElement("dt");
      term.append(element("i", stage), element("span", "", stage));
      return [term, element("dd", "", `${spent[stage].toFixed(1)} ms`)];
    }),
  );
}

const percent = (score) => `${Math.round(score * 100)} %`;
const lowest = () => at("score").value / 100;

function say(text, { plain = false } = {}) {
  at("message").textContent = text;
  at("message").hidden = !text;
  at("message").classList.toggle("plain", plain);
}

// The camera

const camera = {
  on: false,
  run: 0, // number of the latest start: an older one that still waits for something must not go on

  async start() {
    const run = (this.run += 1);
    if (!navigator.mediaDevices) {
      fail(new Refusal("Browsers give the camera only to pages over https or from this machine (localhost)."));
      return;
    }
    this.set(true); // before anything is waited for, so that a second press stops it
    const wantedStill = () => this.on && run === this.run;
    let stream;
    try {
      const wanted = { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "environment" };
      stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
    } catch (error) {
      if (!wantedStill()) return;
      this.set(false);
      const denied = error.name === "NotAllowedError";
      fail(new Refusal(denied ? "The browser was not allowed to use the camera." : "There is no camera that can be used."));
      return;
    }
    try {
      if (!wantedStill()) return;
      const video = at("video");
      video.srcObject = stream;
      await video.play();
      if (!wantedStill()) return;
      newest += 1;
      say("");
      await this.show(video, wantedStill);
    } catch (error) {
      if (!wantedStill()) return; // stopped, or a later start has taken the video over
      this.set(false);
      retry = () => this.start();
      fail(error);
    } finally {
      for (const track of stream.getTracks()) track.stop();
    }
  },

  async show(video, goesOn) {
    const frame = document.createElement("canvas");
    [frame.width, frame.height] = [video.videoWidth, video.videoHeight];
    const brush = frame.getContext("2d");
    const moments = [];
    while (goesOn()) {
      brush.drawImage(video, 0, 0);
      const blob = await jpegOf(frame);
      const answer = await ask(blob); // one at a time: a slow server shows fewer frames, not older ones
      const picture = await seen({ blob, picture: frame });
      if (!goesOn()) return;
      shown = { picture, blob, name: "frame.jpg", note: "", answer };
      show();
      say("");
      this.rate(moments);
      await pause(0);
    }
  },

  rate(moments) {
    const now = performance.now();
    moments.push(now);
    while (now - moments[0] > 2000) moments.shift();
    const fps = moments.length > 1 ? ((moments.length - 1) * 1000) / (now - moments[0]) : 0;
    at("rate").hidden = false;
    at("rate").textContent = `${fps.toFixed(1)} frames a second`;
  },

  set(on) {
    this.on = on;
    at("camera").textContent = on ? "Stop the camera" : "Use the camera";
    at("camera").setAttribute("aria-pressed", on);
    at("rate").hidden = true;
    at("download").hidden = on;
    at("counted").setAttribute("aria-live", on ? "off" : "polite"); // nobody wants to hear every frame
  },

  stop() {
    this.run += 1;
    if (this.on) this.set(false);
  },
};

// The same request in other words

const words = {
  curl(url, name, kind) {
    const header = key ? ` \\\n  -H "Authorization: Bearer $HUMANDETECT_API_KEY"` : "";
    return `curl --data-binary @${quoted(name)} -H "Content-Type: ${kind}" ${url}${header}`;
  },
  python(url, name, kind) {
    const header = key ? `, "Authorization": f"Bearer {os.environ['HUMANDETECT_API_KEY']}"` : "";
    return [
      ...(key ? ["import os", ""] : []),
      "import httpx",
      "",
      `with open(${JSON.stringify(name)}, "rb") as image:`,
      `    headers = {"Content-Type": "${kind}"${header}}`,
      `    answer = httpx.post("${url}", content=image.read(), headers=headers).raise_for_status()`,
      `for person in answer.json()["results"][0]["people"]:`,
      `    print(person["box"], person["score"])`,
    ].join("\n");
  },
};

function code() {
  const { name, note, blob } = shown ?? { name: "photo.jpg", note: "", blob: { type: "image/jpeg" } };
  const first = note && `# ${note.replace(/\s+/g, " ")}, which the server takes: save it as ${name}\n`;
  at("code").textContent = first + words[selectedTab()](new URL("v1/detect", location.href).href, name, blob.type);
}

// What people do

function choose(files) {
  const file = [...files].find((one) => one.type.startsWith("image/")) ?? files[0];
  if (file) detect(file, file.name || "photo.jpg");
}

at("choose").onclick = () => at("file").click();
at("file").onchange = (event) => {
  choose(event.target.files);
  event.target.value = "";
};
at("sample").onclick = async () => {
  try {
    const response = await fetch("static/sample.jpg");
    detect(await response.blob(), "sample.jpg");
  } catch {
    fail(new Refusal(AWAY));
  }
};
at("camera").onclick = () => (camera.on ? camera.stop() : camera.start());
at("score").oninput = () => {
  at("score-text").textContent = percent(lowest());
  if (shown) show();
};
at("score").onchange = async () => {
  if (!shown || !limits.anonymize || camera.on) return;
  const asked = shown;
  try {
    asked.picture = await seen(asked);
    if (shown === asked) show();
  } catch (error) {
    fail(error);
  }
};
window.onresize = () => {
  if (shown && !camera.on) show();
};
at("download").onclick = async () => {
  try {
    const picture = await ask(shown.blob, { accept: "image/jpeg", score: lowest() });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(picture);
    link.download = `${shown.name.replace(/\.\w+$/, "")}_people.jpg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (error) {
    say(problem(error));
  }
};
at("key").onsubmit = (event) => {
  event.preventDefault();
  key = at("key-text").value;
  at("key").hidden = true;
  code();
  retry?.();
};
copies(at("copy"), at("code"));
tabs(code);
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) choose(event.clipboardData.files);
});
drops(at("stage"), choose);

// The server's state, until it is ready

async function introduce() {
  await told;
  for (;;) {
    const state = await fetch("readyz").then((response) => response.json(), () => null);
    if (state?.status === "ready") {
      const { name, version, engine, score } = state.model;
      at("model").textContent = `${name} ${version} · ${engine}`;
      at("score").value = Math.round(score * 100);
      at("score-text").textContent = percent(lowest());
      return;
    }
    at("model").textContent = state ? `Not ready yet: ${state.message}` : "The server does not answer.";
    await pause(1000);
  }
}

code();
introduce();
