// How long a millimetre is on an X-ray whose file names the spacing of its pixels: a bar in a corner of the picture.
class Scale {
  #length = document.createElement("span");
  #bar = document.createElement("span");
  #pixels; // of the picture, for a millimetre

  // `millimetres` is the spacing, `width` that of the picture in its pixels.
  constructor(live, osd, millimetres, width) {
    this.#pixels = 1 / millimetres / width;
    this.#bar.className = "viewer-scale-bar";
    const scale = document.createElement("p");
    scale.className = "viewer-scale";
    scale.append(this.#length, this.#bar);
    live.append(scale);
    osd.addHandler("viewport-change", () => this.#show(osd.viewport));
  }

  // The longest of 1, 2, 5, 10 … mm that fits in a third of the picture.
  #show(viewport) {
    const across = viewport.getContainerSize().x;
    const pixels = viewport.getZoom(true) * across * this.#pixels;
    const most = Math.min(160, across / 3) / pixels;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = power * ([5, 2].find((factor) => factor * power <= most) ?? 1);
    this.#length.textContent = `${Number(length.toPrecision(1))} mm`;
    this.#bar.style.width = `${length * pixels}px`;
  }
}
