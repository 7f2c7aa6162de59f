// A scene as text: its file, its options, and what the command would refuse. Knows nothing of the page.
//
// A shape is { kind, name, points, more }: `line` or `zone`, points in pixels of the picture, and further keys of the file.

import { quoted } from "./parts.js";

export const MOST_SHAPES = 64;
export const CORNERS = 3;
export const MORE = { line: ["in", "out", "margin"], zone: ["loiter_seconds", "max_people"] };
const NAME = /^[\p{L}\p{N}](?:[\p{L}\p{N}_ .-]{0,38}[\p{L}\p{N}_.-])?$/u;
const LONGEST_NAME = 80; // with its marks, which belong to the letter before them
const ASPECT_TOLERANCE = 0.01;

export class Refusal extends Error {}

// Writing

export function tomlOf(shapes, size, unit) {
  const point = (one) => `[${coordinates(one, size, unit).map((text) => (unit === "%" ? `"${text}"` : text)).join(", ")}]`;
  const tables = inOrder(shapes).map(({ kind, name, points, more }) => {
    const [from, to] = points.map(point);
    return [
      `[[${kind}]]`,
      `name = ${JSON.stringify(name)}`,
      ...(kind === "line" ? [`from = ${from}`, `to = ${to}`] : [`points = [${points.map(point).join(", ")}]`]),
      ...Object.entries(more).map(([key, value]) => `${key} = ${JSON.stringify(value)}`),
    ].join("\n");
  });
  const head = unit === "%" ? [] : [`size = [${size.join(", ")}]`];
  return `${[...head, ...tables].join("\n\n")}\n`;
}

export function optionsOf(shapes, size, unit) {
  const lost = [...new Set(shapes.flatMap(({ more }) => Object.keys(more)))];
  const note = lost.length ? `# ${lost.join(", ")}: only the file has a place for that\n` : "";
  const options = inOrder(shapes).map(({ kind, name, points }) => {
    const numbers = points.flatMap((point) => coordinates(point, size, unit));
    return `--${kind} ${quoted(`${name}=${numbers.join(",")}`)}`;
  });
  return note + options.join(" \\\n");
}

const inOrder = (shapes) => ["line", "zone"].flatMap((kind) => shapes.filter((shape) => shape.kind === kind));

const coordinates = (point, size, unit) =>
  point.map((value, axis) => (unit === "%" ? `${+((value / size[axis]) * 100).toFixed(2)}%` : `${Math.round(value)}`));

// Reading: as much of TOML as a scene needs

const TOKEN = /[ \t\r]+|#.*|(\n)|("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[[\]=,]|[^\s[\]=,#"']+)/gy;

export function tablesOf(text) {
  const tokens = tokensOf(text);
  const tables = Object.create(null);
  let table = tables;
  let place = 0;
  const next = () => tokens[place++] ?? { text: "", line: tokens.at(-1)?.line ?? 1 };
  const expected = (wanted) => {
    const token = next();
    if (token.text !== wanted) throw new Refusal(`Line ${token.line}: expected ${wanted} and not ${token.text || "the end"}.`);
  };
  const value = () => {
    const token = next();
    if (token.text === "[") {
      const items = [];
      while (tokens[place]?.text !== "]") {
        items.push(value());
        if (tokens[place]?.text !== "]") expected(",");
      }
      place += 1;
      return items;
    }
    if (token.text.startsWith("'")) return token.text.slice(1, -1);
    try {
      return JSON.parse(token.text);
    } catch {
      throw new Refusal(`Line ${token.line}: ${token.text || "nothing"} is no value that this page reads.`);
    }
  };
  while (place < tokens.length) {
    const token = next();
    if (token.text !== "[") {
      expected("=");
      table[token.text] = value();
      continue;
    }
    if (tokens[place]?.text !== "[") throw new Refusal(`Line ${token.line}: only [[line]] and [[zone]] can be drawn here.`);
    place += 1;
    table = Object.create(null);
    (tables[next().text] ??= []).push(table);
    expected("]");
    expected("]");
  }
  return tables;
}

function tokensOf(text) {
  const tokens = [];
  let line = 1;
  let end = 0;
  for (const found of text.matchAll(TOKEN)) {
    end = found.index + found[0].length;
    if (found[1]) line += 1;
    if (found[2]) tokens.push({ text: found[2], line });
  }
  if (end < text.length) throw new Refusal(`Line ${line}: this is not TOML.`);
  return tokens;
}

// Return the shapes of a file on a picture, and the unit that they were written in.
export function shapesOf({ size: drawnOn, line = [], zone = [], ...others }, size) {
  const [other] = Object.keys(others);
  if (other) throw new Refusal(`A scene has size, [[line]] and [[zone]], and no ${other}.`);
  if (!Array.isArray(line) || !Array.isArray(zone)) throw new Refusal("Each line or zone is a table: [[line]], [[zone]].");
  if (drawnOn && !(drawnOn.length === 2 && drawnOn.every((side) => side > 0))) throw new Refusal("size is a width and a height.");
  let unit = "px";
  const scale = size.map((side, axis) => (drawnOn ? side / drawnOn[axis] : 1));
  const number = (value, axis) => {
    const share = /^\s*(-?[\d.]+)\s*%\s*$/.exec(value);
    if (share) {
      unit = "%";
      return (share[1] / 100) * size[axis];
    }
    if (typeof value !== "number") throw new Refusal(`${JSON.stringify(value)} is no coordinate: 320 is one, and "50%".`);
    if (!(Math.abs(scale[0] / scale[1] - 1) <= ASPECT_TOLERANCE)) {
      throw new Refusal(`It was drawn on a picture of ${drawnOn.join(" x ")}, this one has ${size.join(" x ")}: another shape.`);
    }
    return value * scale[axis];
  };
  const made = (kind, { name = "", from, to, points = [from, to], ...more }) => {
    const unknown = Object.keys(more).find((key) => !MORE[kind].includes(key));
    if (unknown) throw new Refusal(`A ${kind} has no ${unknown}.`);
    if (!Array.isArray(points) || !points.every((point) => Array.isArray(point) && point.length === 2)) {
      throw new Refusal(`The ${kind} ${name} has no points to draw it by.`);
    }
    if (points.length > CORNERS && `${points[0]}` === `${points.at(-1)}`) points.pop(); // drawn back to where it began
    return { kind, name: `${name}`, points: points.map((point) => point.map(number)), more };
  };
  const shapes = [...line.map((table) => made("line", table)), ...zone.map((table) => made("zone", table))];
  return { shapes, unit };
}

// What the command would refuse

export function faultOf(shape, shapes) {
  const { kind, name, points, more } = shape;
  if (![name, more.in ?? "in", more.out ?? "out"].map(String).every(isName)) return "A name has 1 to 40 letters, digits, spaces, _, - or ., a letter or digit first.";
  if (shapes.some((other) => other !== shape && other.kind === kind && other.name === name)) return `There are two: give each ${kind} a name of its own.`;
  if (shapes.indexOf(shape) >= MOST_SHAPES) return `At most ${MOST_SHAPES} shapes are taken.`;
  const rounded = points.map((point) => point.map(Math.round));
  if (kind === "line") return `${rounded[0]}` === `${rounded[1]}` ? "This line has no length." : "";
  if (new Set(rounded.map(String)).size < Math.max(CORNERS, points.length)) return "A zone has three corners or more, no two in one place.";
  return crossesItself(rounded) ? "This zone crosses itself or has no area: drag its corners apart." : "";
}

const isName = (text) => text.length <= LONGEST_NAME && NAME.test(text.replace(/\p{M}/gu, ""));

function crossesItself(points) {
  const edges = points.map((point, index) => [point, points[(index + 1) % points.length]]);
  const flat = edges.every(([, b]) => turn(points[0], points[1], b) === 0);
  const meet = ([a, b], [c, d]) =>
    turn(a, b, c) * turn(a, b, d) <= 0 && turn(c, d, a) * turn(c, d, b) <= 0 && overlap(a, b, c, d, 0) && overlap(a, b, c, d, 1);
  const neighbours = (i, j) => j - i === 1 || j - i === edges.length - 1;
  return flat || edges.some((edge, i) => edges.some((other, j) => j > i && !neighbours(i, j) && meet(edge, other)));
}

const turn = (a, b, c) => Math.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]));
const overlap = (a, b, c, d, axis) =>
  Math.max(Math.min(a[axis], b[axis]), Math.min(c[axis], d[axis])) <= Math.min(Math.max(a[axis], b[axis]), Math.max(c[axis], d[axis]));
