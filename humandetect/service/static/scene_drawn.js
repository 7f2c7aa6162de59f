// A shape as it is drawn on the picture: SVG in the picture's own pixels. `pixel` is how many of them make one of the screen.

import { faultOf } from "./scene_text.js";

const COARSE = matchMedia("(pointer: coarse)");

// How far from a point a finger, or a mouse, still takes hold of it.
export const reach = (pixel) => (COARSE.matches ? 24 : 14) * pixel;
export const apart = ([x, y], [u, v]) => Math.hypot(x - u, y - v);

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function pictureOf(shape, index, { shapes, selected, picked, size, pixel }) {
  const { kind, name, points } = shape;
  const tag = kind === "line" ? "polyline" : "polygon";
  const path = { points: points.join(" ") };
  const state = [kind, index === selected && "selected", faultOf(shape, shapes) && "fault"].filter(Boolean);
  return svg("g", { class: state.join(" ") },
    svg(tag, { ...path, class: "area", "data-shape": index }),
    svg(tag, { ...path, class: "casing" }),
    svg(tag, { ...path, class: "edge" }),
    ...(kind === "line" ? [arrowOf(shape, index, size, pixel)] : []),
    labelOf(name, kind === "line" ? above(points[0], pixel) : middle(points), size, pixel),
    ...(index === selected ? handlesOf(shape, index, picked, pixel) : []),
  );
}

const circle = ([cx, cy], r, attributes) => svg("circle", { cx, cy, r, ...attributes });

const middle = (points) => [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);

const above = ([x, y], pixel) => [x, y - 12 * pixel];

// A word inside the picture, also at its rim.
function labelOf(text, [x, y], size, pixel) {
  const [inside, down] = [x, y].map((value, axis) => Math.min(Math.max(value, 14 * pixel), size[axis] - 8 * pixel));
  const side = inside < size[0] * 0.2 ? "start" : inside > size[0] * 0.8 ? "end" : "middle";
  const label = svg("text", { class: "name", x: inside, y: down, "text-anchor": side, "font-size": 13 * pixel });
  label.textContent = text;
  return label;
}

// It points to the side where `in` leads: the left hand of who walks from the first point to the second.
function arrowOf({ name, points: [from, to], more }, index, size, pixel) {
  const length = apart(from, to) || 1;
  const [u, v] = [(to[1] - from[1]) / length, (from[0] - to[0]) / length];
  const [x, y] = middle([from, to]);
  const away = (forward, aside) => [x + (u * forward - v * aside) * pixel, y + (v * forward + u * aside) * pixel];
  const outline = [away(5, 4), away(20, 4), away(20, 10), away(36, 0), away(20, -10), away(20, -4), away(5, -4)];
  return svg("g", {},
    svg("g", { class: "arrow" },
      svg("polygon", { class: "tip", points: outline.join(" ") }),
      circle(away(20, 0), (COARSE.matches ? 24 : 18) * pixel, {
        class: "near", "data-flips": index, "data-key": `arrow ${index}`,
        tabindex: 0, role: "button", "aria-label": `Flip in and out of ${name}`,
      }),
    ),
    labelOf(more.in ?? "in", away(50, 0), size, pixel),
  );
}

function handlesOf({ kind, name, points }, index, picked, pixel) {
  const radius = (COARSE.matches ? 10 : 6.5) * pixel;
  const corners = kind === "zone" ? points.map((point, number) => middle([point, points[(number + 1) % points.length]])) : [];
  const grip = (point, attributes) => circle(point, reach(pixel), { class: "reach", "data-shape": index, ...attributes });
  return [
    ...corners.flatMap((point, number) => [
      grip(point, { "data-between": number }),
      circle(point, radius * 0.6, { class: "between" }),
    ]),
    ...points.flatMap((point, number) => [
      grip(point, {
        "data-point": number, "data-key": `point ${index} ${number}`,
        tabindex: 0, role: "button", "aria-label": `Point ${number + 1} of ${name}`,
      }),
      circle(point, radius, { class: number === picked ? "handle picked" : "handle" }),
    ]),
  ];
}

export function pictureOfDraft({ kind, points }, hover, pixel) {
  const path = [...points, ...(hover ? [hover] : [])];
  const begun = points.map((point) => circle(point, 6 * pixel, { class: "handle" }));
  return svg("g", { class: `${kind} draft` },
    svg("polyline", { class: "casing", points: path.join(" ") }),
    svg("polyline", { class: "edge", points: path.join(" ") }),
    ...begun,
  );
}
