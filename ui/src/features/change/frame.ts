/** Calls once before the next picture, or soon where no pictures are drawn: a hidden window draws none. */
export function onFrame(callback: () => void): () => void {
  let done = false;
  const once = () => {
    if (done) return;
    cancel();
    callback();
  };
  const frame = requestAnimationFrame(once);
  const timer = setTimeout(once, 100);
  const cancel = () => {
    done = true;
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
  return cancel;
}
