// Light or dark, before anything is painted: what the reader chose here, else what the system prefers.
(() => {
  "use strict";
  const key = "xglue-theme";
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  function saved() {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage may be off
    }
  }

  function apply() {
    const dark = saved() ? saved() === "dark" : system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.documentElement.classList.toggle("dark", dark); // for DataTables
    document.dispatchEvent(new Event("themechange"));
  }

  window.xglueTheme = {
    dark: () => document.documentElement.dataset.theme === "dark",
    toggle() {
      const next = window.xglueTheme.dark() ? "light" : "dark";
      try {
        localStorage.setItem(key, next);
      } catch {
        // then it lasts for this page only
      }
      document.documentElement.dataset.theme = next;
      document.documentElement.classList.toggle("dark", next === "dark");
      document.dispatchEvent(new Event("themechange"));
    },
  };
  apply();
  system.addEventListener("change", apply);
})();
