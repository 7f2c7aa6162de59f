// Find people in pictures, with nothing but the fetch of Node 18 or a browser.
//
//     node examples/client.mjs IMAGE...
//
// Asks http://127.0.0.1:8000, or the server in HUMANDETECT_URL, with the key in HUMANDETECT_API_KEY if there is one.
// In a page: import { findPeople } from "./client.mjs" and give it a File or a canvas' Blob.

export async function findPeople(image, { url = "http://127.0.0.1:8000", key } = {}) {
  const headers = { "Content-Type": "application/octet-stream", ...(key && { Authorization: `Bearer ${key}` }) };
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(`${url}/v1/detect`, { method: "POST", headers, body: image });
    if (response.status === 503 && attempt < 10) {
      const seconds = Number(response.headers.get("Retry-After") ?? 1);
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      continue;
    }
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.message);
    return answer.results[0].people;
  }
}

const [, script, ...images] = globalThis.process?.argv ?? [];
if (script?.endsWith("client.mjs")) {
  const { readFile } = await import("node:fs/promises");
  const { HUMANDETECT_URL: url, HUMANDETECT_API_KEY: key } = process.env;
  for (const image of images) {
    const people = await findPeople(await readFile(image), { url, key });
    console.log(`${image}: ${people.length} people`);
    for (const { score, box } of people) console.log(`    ${Math.round(score * 100)}% at ${box}`);
  }
}
