// The viewers of X-rays on a page: zoom, move, window and invert, the heatmap on top, groups that move together.
// templates/diagnosis/_viewer.html is the other half; texts stand there. OpenSeadragon zooms and moves, viewer-window.js
// knows the window of one picture, viewer-scale.js its scale.
{
  const STEP = 1.3; // of zoom, by button and key
  const MOVE = 0.1; // of what is seen, by key
  const MOST_ZOOM = 16; // pixels of the page for one of the picture
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const viewers = new Map();

  // OpenSeadragon would write a style element, which the content security policy forbids, unless it finds its own. An
  // element of that name without a namespace styles nothing and is no offence.
  const notAStyle = document.createElementNS("", "style");
  notAStyle.setAttribute("data-openseadragon-mobile-css", "");
  document.head.append(notAStyle);

  class Viewer {
    constructor(root) {
      this.root = root;
      this.plain = root.querySelector(".viewer-plain img");
      this.width = Number(this.plain.getAttribute("width"));
      this.height = Number(this.plain.getAttribute("height"));
      this.group = root.dataset.viewerGroup;
      this.isWindowing = false;
      this.open();
      this.window = new LevelWindow(root, this.osd, this.plain.src);
      if (root.dataset.viewerSpacing) new Scale(this.live, this.osd, Number(root.dataset.viewerSpacing), this.width);
      this.listen();
      this.window.read();
    }

    open() {
      this.live = document.createElement("div");
      this.live.className = "viewer-live";
      this.root.querySelector(".viewer-plain").after(this.live);
      this.osd = OpenSeadragon({
        element: this.live,
        tileSources: { type: "image", url: this.plain.src },
        drawer: "canvas",
        showNavigationControl: false,
        keyboardNavEnabled: false, // its keys would mirror and turn the picture
        cooperativeGestures: true,
        visibilityRatio: 1,
        constrainDuringPan: true,
        maxZoomPixelRatio: MOST_ZOOM,
        animationTime: calm.matches ? 0.01 : 0.4,
        gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
        gestureSettingsPen: { clickToZoom: false, dblClickToZoom: true },
      });
      this.osd.canvas.setAttribute("role", "application");
      this.osd.canvas.setAttribute("aria-label", this.root.dataset.viewerLabel);
      this.root.querySelector(".viewer-tools").hidden = false;
      const help = this.root.querySelector(".viewer-help");
      if (help) help.hidden = false;
      this.button("fullScreen").hidden = !document.fullscreenEnabled;
    }

    listen() {
      const { osd, root } = this;
      osd.addHandler("open", () => {
        this.limitZoom();
        this.takeHeatmap();
        this.showZoom();
      });
      osd.addHandler("open-failed", () => this.close());
      osd.addHandler("resize", () => this.limitZoom());
      osd.addHandler("viewport-change", () => this.moved());
      osd.addHandler("animation-finish", () => this.rested());
      osd.addHandler("canvas-drag", (event) => this.dragged(event));
      osd.addHandler("canvas-drag-end", (event) => this.dropped(event));
      osd.addHandler("canvas-cooperative-gesture", (event) => {
        event.message = root.dataset[event.gesture === "scroll" ? "viewerWheelHint" : "viewerTouchHint"];
      });
      osd.canvas.addEventListener("keydown", (event) => this.pressed(event));
      osd.canvas.addEventListener("pointerdown", (event) => { this.pointer = event.pointerType; });
      osd.canvas.addEventListener("click", (event) => this.tapped(event));
      for (const name of ["pointerdown", "wheel", "keydown", "click"]) {
        root.addEventListener(name, () => this.lead(), { capture: true, passive: true });
      }
      root.addEventListener("click", ({ target }) => {
        const button = target.closest("[data-viewer-do]");
        if (button) this[button.dataset.viewerDo]();
      });
      root.addEventListener("input", ({ target }) => this.slid(target));
      root.addEventListener("change", ({ target }) => {
        if (target.matches("[data-viewer-center], [data-viewer-width]")) this.settle();
      });
    }

    end() {
      if (this.isClosed) return;
      this.isClosed = true;
      this.window.close();
      this.osd.destroy();
    }

    // Without its picture there is nothing to view: the plain one says what is wrong.
    close() {
      this.end();
      this.live.remove();
      this.root.querySelector(".viewer-tools").hidden = true;
    }

    button(name) {
      return this.root.querySelector(`[data-viewer-do="${name}"]`);
    }

    together() {
      return this.group ? [...viewers.values()].filter((viewer) => viewer.group === this.group) : [this];
    }

    lead() {
      for (const viewer of this.together()) viewer.leader = this;
    }

    // Zoom and move ---------------------------------------------------------------------------------------------------

    get zoom() {
      return (this.osd.viewport.getZoom() * this.osd.viewport.getContainerSize().x) / this.width;
    }

    // Out to whichever is smaller, the whole picture or its actual size.
    limitZoom() {
      const { viewport } = this.osd;
      viewport.minZoomLevel = Math.min(viewport.getHomeZoom(), this.width / viewport.getContainerSize().x);
    }

    zoomBy(factor) {
      this.osd.viewport.zoomBy(factor);
      this.osd.viewport.applyConstraints();
    }

    zoomIn() {
      this.zoomBy(STEP);
    }

    zoomOut() {
      this.zoomBy(1 / STEP);
    }

    fit() {
      this.osd.viewport.goHome();
    }

    actualSize() {
      this.osd.viewport.zoomTo(this.width / this.osd.viewport.getContainerSize().x);
      this.osd.viewport.applyConstraints();
    }

    move(right, down) {
      const { width, height } = this.osd.viewport.getBounds();
      this.osd.viewport.panBy(new OpenSeadragon.Point(right * width, down * height));
      this.osd.viewport.applyConstraints();
    }

    fullScreen() {
      if (document.fullscreenElement) document.exitFullscreen();
      else this.root.requestFullscreen();
    }

    moved() {
      if (this.leader !== this) return;
      const { viewport } = this.osd;
      for (const { osd } of this.together()) {
        if (osd === this.osd || !osd.isOpen()) continue;
        osd.viewport.zoomTo(viewport.getZoom(true), null, true);
        osd.viewport.panTo(viewport.getCenter(true), true);
      }
    }

    rested() {
      this.showZoom();
      this.shareGestures();
    }

    // While all of the picture is seen, the wheel and a finger move the page on; then they are the picture's.
    shareGestures() {
      const { viewport } = this.osd;
      const isWhole = viewport.getZoom() <= 1.01 * viewport.getHomeZoom();
      this.osd.setCooperativeGestures(isWhole && !this.isWindowing);
    }

    // While a finger is the page's, OpenSeadragon hears of no taps.
    tapped({ timeStamp, clientX, clientY }) {
      if (!this.osd.cooperativeGestures || this.pointer !== "touch") return;
      const isSecond = timeStamp - this.lastTap < 400;
      this.lastTap = isSecond ? -Infinity : timeStamp;
      if (!isSecond) return;
      const { left, top } = this.osd.canvas.getBoundingClientRect();
      const { viewport } = this.osd;
      viewport.zoomBy(2, viewport.pointFromPixel(new OpenSeadragon.Point(clientX - left, clientY - top), true));
      viewport.applyConstraints();
    }

    showZoom() {
      this.root.querySelector("[data-viewer-zoom]").value = `${Math.round(100 * this.zoom)}\u00a0%`;
    }

    pressed(event) {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const far = event.shiftKey ? 5 * MOVE : MOVE;
      const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      const action = {
        "+": "zoomIn", "=": "zoomIn", "-": "zoomOut", _: "zoomOut", 0: "fit", 1: "actualSize", f: "fullScreen",
        i: "invert", h: "toggleHeatmap", w: "windowByDragging", r: "reset",
      }[event.key.toLowerCase()];
      if (arrow && this.isWindowing) {
        this.widen(arrow[0] * far, arrow[1] * far);
        this.window.settleSoon(() => this.settle());
      } else if (arrow) this.move(arrow[0] * far, arrow[1] * far);
      else if (action) this[action]();
      else return;
      event.preventDefault();
    }

    // Window and inversion --------------------------------------------------------------------------------------------

    // The window is that of every viewer of the group.
    choose(chosen) {
      for (const viewer of this.together()) viewer.window.choose(chosen);
    }

    settle() {
      for (const viewer of this.together()) viewer.window.settle();
    }

    widen(width, center) {
      if (this.window.isKnown) this.choose(this.window.changedBy(width, center));
    }

    invert() {
      this.invertAll(!this.window.isInverted);
    }

    invertAll(isInverted) {
      for (const viewer of this.together()) {
        viewer.window.invert(isInverted);
        viewer.button("invert").setAttribute("aria-pressed", isInverted);
      }
    }

    windowByDragging() {
      this.setWindowing(!this.isWindowing);
    }

    setWindowing(isWindowing) {
      this.isWindowing = isWindowing;
      this.button("windowByDragging").setAttribute("aria-pressed", isWindowing);
      this.live.classList.toggle("is-windowing", isWindowing);
      this.shareGestures();
    }

    dragged(event) {
      if (!this.isWindowing) return;
      event.preventDefaultAction = true;
      const { x, y } = this.osd.viewport.getContainerSize();
      this.widen(event.delta.x / x, event.delta.y / y);
    }

    dropped(event) {
      if (!this.isWindowing) return;
      event.preventDefaultAction = true;
      this.settle();
    }

    reset() {
      this.fit();
      this.invertAll(false);
      for (const viewer of this.together()) viewer.setWindowing(false);
      if (!this.window.isKnown) return;
      this.choose(this.window.usual);
      this.settle();
    }

    // Heatmap ---------------------------------------------------------------------------------------------------------

    // The one that stands in the page, or that a poll has just brought, becomes a layer of the live picture.
    takeHeatmap() {
      if (this.isClosed) return;
      const part = this.root.querySelector("[data-viewer-heatmap]");
      const heatmap = part?.querySelector(".heatmap");
      if (!this.osd.isOpen() || (part === this.heatmapPart && !heatmap)) return;
      if (this.heatmap) this.osd.removeOverlay(this.heatmap);
      this.heatmapPart = part;
      this.heatmap = heatmap;
      if (!heatmap) return;
      heatmap.id = `layer-of-${part.id}`;
      this.osd.addOverlay(heatmap, new OpenSeadragon.Rect(0, 0, 1, this.height / this.width));
    }

    toggleHeatmap() {
      this.root.querySelector(".heatmap-switch")?.click();
    }

    slid(slider) {
      const value = Number(slider.value);
      if (slider.matches("[data-viewer-strength]")) {
        this.root.querySelector(".heatmap").style.opacity = value / 100;
        slider.parentElement.querySelector("output").value = `${value}\u00a0%`;
      } else if (slider.matches("[data-viewer-center]")) this.choose({ ...this.window.chosen, center: value });
      else if (slider.matches("[data-viewer-width]")) this.choose({ ...this.window.chosen, width: value });
    }

  }

  // Start what has come, refresh what is there, end what has gone.
  const look = () => {
    for (const [root, viewer] of viewers) {
      if (root.isConnected) continue;
      viewer.end();
      viewers.delete(root);
    }
    for (const root of document.querySelectorAll("[data-viewer]")) {
      if (viewers.has(root)) viewers.get(root).takeHeatmap();
      else viewers.set(root, new Viewer(root));
    }
  };
  look();
  document.addEventListener("htmx:load", look);
  document.addEventListener("htmx:oobAfterSwap", look);
}
