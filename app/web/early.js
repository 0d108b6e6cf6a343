// Before anything is drawn: the colours and the language that were chosen last.
(() => {
  const root = document.documentElement;
  const kept = (key) => {
    try {
      return JSON.parse(localStorage.getItem(key));
    } catch {
      return null; // Storage is forbidden: the defaults will do.
    }
  };
  root.dataset.theme = kept("ocr.theme") ?? "auto";
  root.lang = kept("ocr.lang") ?? (navigator.language.startsWith("zh") ? "zh-CN" : "en");
})();
