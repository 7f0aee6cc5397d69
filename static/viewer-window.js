// The window through which an X-ray is seen: which of its levels are black and which white, and whether it is inverted.
//
// A picture of 8 bits is windowed here, by a filter that maps its levels. Of a deeper one the browser has only 8 bits: while
// a window is being chosen the filter shows a preview, and then the server sends the picture anew from all stored bits.
class LevelWindow {
  #root;
  #osd;
  #address;
  #filter;
  #levels;
  #lowest;
  #highest;
  #asked; // of the server
  #loaded; // the window of what the server sent
  #loads = 0;
  #soon;
  #isClosed = false;

  // `address` is that of the picture.
  constructor(root, osd, address) {
    this.#root = root;
    this.#osd = osd;
    this.#address = address;
    this.#filter = root.querySelector(".viewer-filter filter");
    this.isInverted = false;
  }

  // Before the levels are there, and without them, a picture can be inverted and nothing else.
  async read() {
    const response = await fetch(this.#root.dataset.viewerLevels).catch(() => null);
    const levels = response?.ok ? await response.json() : null;
    if (!levels || this.#isClosed) return;
    this.#levels = levels;
    const { lowest, highest, black_from: black, white_from: white } = this.#levels;
    this.#lowest = Math.min(lowest, black);
    this.#highest = Math.max(highest, white, this.#lowest + 1);
    this.usual = { center: (black + white) / 2, width: Math.max(white - black, 1) };
    this.#loaded = this.chosen = this.usual;
    const center = this.#root.querySelector("[data-viewer-center]");
    const width = this.#root.querySelector("[data-viewer-width]");
    [center.min, center.max] = [Math.floor(this.#lowest), Math.ceil(this.#highest)];
    [width.min, width.max] = [1, Math.ceil(this.#highest - this.#lowest)];
    this.#root.querySelector("[data-viewer-window]").hidden = false;
    this.#show();
  }

  get isKnown() {
    return Boolean(this.#levels);
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#soon);
  }

  // Until it is settled, as a preview.
  choose({ center, width }) {
    if (!this.#levels) return;
    const clamped = (value, low, high) => Math.min(Math.max(value, low), high);
    this.chosen = {
      center: clamped(center, this.#lowest, this.#highest),
      width: clamped(width, 1, Math.max(this.#highest - this.#lowest, 1)),
    };
    this.#show();
  }

  // Give the window that is so much wider and higher, in shares of all the picture's levels.
  changedBy(width, center) {
    const span = this.#highest - this.#lowest;
    return {
      center: Math.round(this.chosen.center + center * span),
      width: Math.round(this.chosen.width + width * span),
    };
  }

  invert(isInverted) {
    this.isInverted = isInverted;
    this.#applyFilter();
  }

  settleSoon(settle) {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(settle, 300);
  }

  // A deep picture is shown from its stored bits.
  settle() {
    const isSame = (one, other) => one.center === other.center && one.width === other.width;
    const isDeep = this.#levels?.white > 255;
    if (!isDeep || isSame(this.chosen, this.#asked ?? this.#loaded)) return;
    const [chosen, osd, number] = [this.chosen, this.#osd, ++this.#loads];
    this.#asked = chosen;
    const failure = this.#root.querySelector("[data-viewer-failure]");
    failure.hidden = true;
    const query = isSame(chosen, this.usual) ? "" : `?${new URLSearchParams(chosen)}`;
    osd.addTiledImage({
      tileSource: { type: "image", url: this.#address + query },
      opacity: 0,
      preload: true,
      success: ({ item }) => item.whenFullyLoaded(() => {
        if (number !== this.#loads) {
          osd.world.removeItem(item);
          return;
        }
        item.setOpacity(1);
        for (const other of this.#pictures()) if (other !== item) osd.world.removeItem(other);
        // The filter changes with the frame that draws the new picture.
        osd.addOnceHandler("update-viewport", () => {
          this.#loaded = chosen;
          this.#applyFilter();
        });
      }),
      error: () => {
        if (number !== this.#loads) return;
        this.#asked = undefined;
        failure.hidden = false;
      },
    });
  }

  #pictures() {
    return Array.from({ length: this.#osd.world.getItemCount() }, (_, place) => this.#osd.world.getItemAt(place));
  }

  #show() {
    for (const [name, value] of Object.entries(this.chosen)) {
      const slider = this.#root.querySelector(`[data-viewer-${name}]`);
      slider.value = value;
      this.#root.querySelector(`output[for="${slider.id}"]`).value = Math.round(value);
    }
    this.#applyFilter();
  }

  #applyFilter() {
    let [slope, intercept] = [1, 0];
    if (this.#levels) {
      const black = (window) => window.center - window.width / 2;
      slope = this.#loaded.width / this.chosen.width;
      intercept = (black(this.#loaded) - black(this.chosen)) / this.chosen.width;
    }
    if (this.isInverted) [slope, intercept] = [-slope, 1 - intercept];
    for (const channel of this.#filter.querySelectorAll("feFuncR, feFuncG, feFuncB")) {
      channel.setAttribute("slope", slope);
      channel.setAttribute("intercept", intercept);
    }
    const isPlain = slope === 1 && intercept === 0;
    this.#osd.drawer.canvas.style.filter = isPlain ? "" : `url("#${this.#filter.id}")`;
  }
}
