// The upload page: files and folders can be dropped, what the server would refuse for its size or number is said at once,
// and how much of it has been sent. Texts stand in the page.
{
  const language = document.documentElement.lang;
  const rounded = (number) => number.toLocaleString(language, { maximumSignificantDigits: 3 });
  const inWords = (bytes) => bytes < 2 ** 20 ? `${Math.ceil(bytes / 2 ** 10)} kB` : `${rounded(bytes / 2 ** 20)} MB`;
  const isArchive = (file) => /\.zip$/i.test(file.name);

  // Of a dropped folder a browser gives only the name; its files have to be asked for, some at a time.
  const filesIn = async (entries, most) => {
    const files = [];
    const rest = [...entries];
    while (rest.length && files.length <= most) {
      const entry = rest.shift();
      if (entry.isFile) files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
      else {
        const reader = entry.createReader();
        const some = () => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        for (let found = await some(); found.length; found = await some()) rest.push(...found);
      }
    }
    return files;
  };

  const start = (form) => {
    const input = form.querySelector("input[name=image]");
    const folder = form.querySelector("input[name=folder]");
    const zone = form.querySelector(".drop-zone");
    const list = form.querySelector("[data-chosen]");
    const none = form.querySelector("[data-choose-none]");
    const maxFiles = Number(input.dataset.maxFiles);
    const maxBytes = Number(input.dataset.maxBytes);
    const maxTotal = Number(input.dataset.maxTotal);
    const chosen = () => [...input.files, ...folder.files];

    const item = (file) => {
      const line = document.createElement("li");
      const tooLarge = file.size > maxBytes && !isArchive(file);
      line.textContent = `${file.name}, ${inWords(file.size)}`;
      if (tooLarge) line.append(`: ${input.dataset.largerThan.replace("{size}", inWords(maxBytes))}`);
      line.className = tooLarge ? "text-danger" : "";
      return line;
    };

    const problem = (files) => {
      if (files.length > maxFiles) return input.dataset.tooMany;
      const total = files.reduce((sum, file) => sum + file.size, 0);
      return total > maxTotal ? input.dataset.tooLarge.replace("{size}", inWords(total)) : "";
    };

    const show = () => {
      const files = chosen();
      list.replaceChildren(...files.slice(0, maxFiles).map(item));
      none.hidden = !files.length;
      input.setCustomValidity(problem(files));
      if (problem(files)) input.reportValidity();
    };

    input.addEventListener("change", show);
    folder.addEventListener("change", show);
    none.addEventListener("click", () => {
      input.value = folder.value = "";
      show();
      input.focus();
    });

    for (const name of ["dragenter", "dragover"]) {
      zone.addEventListener(name, (event) => {
        event.preventDefault();
        zone.classList.add("is-over");
      });
    }
    for (const name of ["dragleave", "drop"]) {
      zone.addEventListener(name, () => zone.classList.remove("is-over"));
    }
    zone.addEventListener("drop", async (event) => {
      event.preventDefault();
      // Both are gone after the first wait.
      const { files, items } = event.dataTransfer;
      const entries = [...items].map((each) => each.webkitGetAsEntry?.()).filter(Boolean);
      if (!files.length) return;
      if (entries.some((entry) => entry.isDirectory)) {
        const all = new DataTransfer();
        for (const file of await filesIn(entries, maxFiles)) all.items.add(file);
        input.files = all.files;
      } else input.files = files;
      show();
    });

    form.addEventListener("submit", (event) => {
      if (!chosen().length) return;
      event.preventDefault();
      send(form, event.submitter);
    });
    show();
  };

  const send = (form, button) => {
    const body = new FormData(form);
    const sending = form.querySelector("[data-sending]");
    const bar = sending.querySelector("progress");
    const words = sending.querySelector("[data-words]");
    const stop = sending.querySelector("[data-stop]");
    const say = (text) => {
      // A screen reader reads each change of it; the share is the bar's to tell.
      if (words.textContent !== text) words.textContent = text;
    };
    const rest = (text) => {
      say(text);
      button.disabled = false;
      bar.hidden = stop.hidden = true;
    };
    const request = new XMLHttpRequest();
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.value = loaded / total;
      say(sending.dataset.sends.replace("{size}", inWords(total)));
    });
    request.upload.addEventListener("load", () => {
      bar.value = 1;
      stop.hidden = true;
      say(sending.dataset.reads);
    });
    request.addEventListener("load", () => {
      // Elsewhere without being told so: signed out meanwhile.
      const isElsewhere = request.responseURL && new URL(request.responseURL).pathname !== location.pathname;
      const address = request.getResponseHeader("HX-Redirect") ?? (isElsewhere ? request.responseURL : "");
      if (address) {
        location.assign(address);
        return;
      }
      const main = new DOMParser().parseFromString(request.responseText, "text/html").querySelector("main");
      if (!main) {
        rest(sending.dataset.fails);
        return;
      }
      document.querySelector("main").replaceWith(main);
      const again = main.querySelector("form[data-upload]");
      if (again) start(again);
      main.focus({ preventScroll: true });
      main.querySelector(".alert, .invalid-feedback, h1")?.scrollIntoView({ block: "center" });
    });
    request.addEventListener("error", () => rest(sending.dataset.fails));
    request.addEventListener("abort", () => rest(""));
    stop.onclick = () => request.abort();
    button.disabled = true;
    bar.value = 0;
    bar.hidden = stop.hidden = sending.hidden = false;
    request.open("POST", form.action);
    // The page that a redirect leads to is the browser's to fetch, with the messages on it.
    request.setRequestHeader("HX-Request", "true");
    request.send(body);
  };

  start(document.querySelector("form[data-upload]"));
}
