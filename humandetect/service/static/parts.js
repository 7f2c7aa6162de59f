// What the pages have in common.

export const at = (id) => document.getElementById(id);

export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

// A word of a shell's command line.
export const quoted = (word) => (/^[\w.-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

export function copies(button, shown) {
  button.onclick = async () => {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(shown.textContent);
      button.textContent = "Copied";
    } else { // browsers keep it from pages over http of other machines
      getSelection().selectAllChildren(shown);
      button.textContent = "Press Ctrl-C";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  };
}

// Files that are dropped anywhere on the page; the stage shows that it takes them.
export function drops(stage, take) {
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("over");
  });
  document.addEventListener("dragleave", () => stage.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    take(event.dataTransfer.files);
  });
}

export const selectedTab = () => document.querySelector("[role=tab][aria-selected=true]").id.replace("tab-", "");

// Of the two tabs one is selected; `show` fills the panel that both control.
export function tabs(show) {
  const both = [...document.querySelectorAll("[role=tab]")];
  for (const tab of both) {
    tab.onclick = () => {
      for (const one of both) {
        one.setAttribute("aria-selected", one === tab);
        one.tabIndex = one === tab ? 0 : -1;
      }
      at(tab.getAttribute("aria-controls")).setAttribute("aria-labelledby", tab.id);
      show();
    };
    tab.onkeydown = (event) => {
      if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
      const other = both[(both.indexOf(tab) + 1) % both.length];
      other.click();
      other.focus();
    };
  }
}
