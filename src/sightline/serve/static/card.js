// A picture's card: the picture with its heat, the classes, and what looks alike.

import { draw } from "./heat.js";
import * as service from "./service.js";

const SHOWN = 900; // pixels of the heat's longer side
const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });

export class Card {
  constructor(file, about) {
    this.file = file;
    this.about = about;
    this.element = document.getElementById("picture").content.firstElementChild.cloneNode(true);
    this.find(".name").textContent = file.name;
    this.image = this.find("img");
    this.image.alt = file.name;
    this.image.src = URL.createObjectURL(file);
    this.image.addEventListener("error", () => this.find(".shown").classList.add("unseen"), { once: true });
    this.find(".fade input").addEventListener("input", (event) => {
      this.find("canvas").style.opacity = event.target.value / 100;
    });
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  async answer() {
    this.element.setAttribute("aria-busy", "true");
    this.find(".answer").textContent = "Looking";
    try {
      const { predictions: [{ classes }] } = await service.send("predict?top=5", this.file);
      this.tell(classes);
    } catch (problem) {
      this.fail(problem);
      throw problem;
    } finally {
      this.element.removeAttribute("aria-busy");
    }
  }

  tell(classes) {
    this.find(".answer").textContent = classes[0].name;
    const list = this.find(".classes");
    for (const { name, probability } of classes) {
      const item = document.createElement("li");
      const row = document.createElement(this.about.explains ? "button" : "div");
      row.className = "class";
      row.append(span("label", name), span("share", percent.format(probability)), span("bar"));
      row.lastChild.append(span("fill"));
      row.lastChild.firstChild.style.width = `${100 * probability}%`;
      if (this.about.explains) {
        row.type = "button";
        row.setAttribute("aria-pressed", "false");
        row.addEventListener("click", () => this.explain(name, row));
      }
      item.append(row);
      list.append(item);
    }
    this.find(".hint").hidden = !this.about.explains;
  }

  fail(problem) {
    this.element.classList.add("failed");
    this.find(".answer").textContent = "Not read";
    const why = document.createElement("p");
    why.className = "why";
    why.textContent = problem.message;
    this.find(".said").append(why);
  }

  // What is worth asking for once somebody looks: where the first class was seen, and what looks alike.
  async more() {
    const asked = [];
    if (this.about.explains) asked.push(this.explain(null, this.find(".class")));
    if (this.about.index) asked.push(this.similar());
    await Promise.allSettled(asked);
  }

  async explain(name, row) {
    const asked = (this.asked = Symbol(name)); // answers may overtake each other: the last question counts
    const query = name === null ? "" : `?class=${encodeURIComponent(name)}`;
    let said;
    try {
      said = await service.send(`explain${query}`, this.file);
      await this.image.decode();
    } catch {
      return; // a picture that the browser cannot show has no place for it
    }
    if (asked !== this.asked) return;
    for (const other of this.element.querySelectorAll(".class")) other.setAttribute("aria-pressed", String(other === row));
    const { naturalWidth: width, naturalHeight: height } = this.image;
    const scale = Math.min(1, SHOWN / Math.max(width, height));
    const canvas = this.find("canvas");
    draw(canvas, said.heat, said.box, Math.round(width * scale), Math.round(height * scale));
    canvas.hidden = false;
    canvas.style.opacity = this.find(".fade input").value / 100;
    this.find(".fade").hidden = false;
  }

  async similar() {
    const { similar: [{ neighbours }] } = await service.send("similar?k=12", this.file);
    const list = this.find(".alike ol");
    for (const one of neighbours) {
      const item = document.createElement("li");
      const image = document.createElement("img");
      image.alt = `${one.class}: ${one.name}`;
      image.title = one.name;
      service.picture(one.picture).then((address) => { image.src = address; }, () => item.classList.add("unseen"));
      item.append(image, span("label", one.class), span("distance", one.distance.toFixed(3)));
      list.append(item);
    }
    this.find(".alike").hidden = false;
  }

  forget() {
    for (const image of this.element.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    this.element.remove();
  }
}

function span(name, text = "") {
  const made = document.createElement("span");
  made.className = name;
  made.textContent = text;
  return made;
}
