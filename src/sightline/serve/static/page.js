// The page: takes pictures, asks for a few at a time, and shows how far it is.

import { describe } from "./about.js";
import { Card } from "./card.js";
import * as service from "./service.js";

const AT_ONCE = 4;
const cards = document.getElementById("cards");
const waiting = [];
const seen = new IntersectionObserver(look, { rootMargin: "200px" });
const shown = new Map();
let asked = 0, answered = 0, failed = 0, running = 0;

// Pictures may be given before the service has said what it is: they wait for that.
const known = service.model().then((about) => {
  document.title = `${about.arch} - Sightline`;
  document.getElementById("subtitle").textContent =
    `${about.arch} knows ${about.classes.length === 1 ? "one class" : `${about.classes.length.toLocaleString("en")} classes`}.`;
  describe(about);
  return about;
});
known.catch((problem) => {
  document.getElementById("subtitle").textContent = problem.message;
});

async function take(files) {
  const about = await known.catch(() => null);
  if (!about) return; // why not is said above
  for (const file of files) {
    const card = new Card(file, about);
    shown.set(card.element, card);
    cards.append(card.element);
    waiting.push(card);
    asked++;
  }
  tell();
  while (running < AT_ONCE && waiting.length) work();
}

async function work() {
  running++;
  while (waiting.length) {
    const card = waiting.shift();
    let read = true;
    try {
      await card.answer();
    } catch {
      read = false;
    }
    if (!shown.has(card.element)) continue; // cleared meanwhile
    if (read) seen.observe(card.element);
    else failed++;
    answered++;
    tell();
  }
  running--;
}

function look(entries) {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    shown.get(target)?.more();
  }
}

function tell() {
  document.getElementById("queue").hidden = asked === 0;
  document.body.classList.toggle("busy", asked > 0);
  const bar = document.getElementById("progress");
  bar.max = Math.max(asked, 1);
  bar.value = answered;
  bar.hidden = answered === asked;
  const what = asked === 1 ? "picture" : "pictures";
  const bad = failed ? `, ${failed} could not be read` : "";
  document.getElementById("counts").textContent =
    answered === asked ? `${asked} ${what}${bad}` : `${answered} of ${asked} ${what} answered${bad}`;
}

document.getElementById("clear").addEventListener("click", () => {
  waiting.length = 0;
  seen.disconnect();
  for (const card of shown.values()) card.forget();
  shown.clear();
  asked = answered = failed = 0;
  tell();
  document.getElementById("files").focus();
});

for (const id of ["files", "photo"]) {
  document.getElementById(id).addEventListener("change", (event) => {
    take([...event.target.files]);
    event.target.value = "";
  });
}

document.addEventListener("paste", (event) => take([...event.clipboardData.files]));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragged");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragged");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragged");
  take([...event.dataTransfer.files]);
});
