// Follow the system's light or dark mode, also when it changes while the page is open.
{
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    document.documentElement.dataset.bsTheme = dark.matches ? "dark" : "light";
    document.documentElement.classList.toggle("dark-mode", dark.matches); // the API's page knows it by this name
  };
  dark.addEventListener("change", follow);
  follow();
}
