// What the browser keeps from visit to visit. What it does not take, because it may not or is full, the page remembers.

const memory = new Map();

export function recall(name) {
  if (memory.has(name)) return memory.get(name);
  try { return localStorage.getItem(name); } catch { return null; }
}

export function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(name); else localStorage.setItem(name, value);
    memory.delete(name);
  } catch { memory.set(name, value); }
}
