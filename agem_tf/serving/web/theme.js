// Sets the chosen colours before the page is drawn; app.js has the button.
document.documentElement.style.colorScheme =
  localStorage.getItem("colours") ?? "light dark";
