// A page that was opened from a file may start no worker: the theme's search then runs in a hidden frame, which this class makes look like one.
class FrameWorker extends EventTarget {
  constructor(url) {
    super();
    this.onmessage = null;
    this.onerror = null;
    this.frame = Object.assign(document.createElement("iframe"), { hidden: true, srcdoc: "<!doctype html><title>search</title>" });
    this.ready = new Promise((done, fail) => {
      this.frame.onload = () => {
        const inside = this.frame.contentWindow;
        const answer = (data) => {
          const event = new MessageEvent("message", { data, source: inside });
          this.onmessage?.(event);
          this.dispatchEvent(event);
        };
        inside.postMessage = answer; // what the worker's script calls
        inside.importScripts = (...scripts) => scripts.reduce((before, script) => before.then(() => load(script)), Promise.resolve());
        const load = (script) => new Promise((loaded, failed) => {
          const element = inside.document.createElement("script");
          Object.assign(element, { src: script, onload: loaded, onerror: failed });
          inside.document.body.append(element);
        });
        load(url).then(done, fail);
      };
    });
    document.body.append(this.frame);
  }

  postMessage(data) {
    this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
  }

  terminate() {
    this.frame.remove();
  }
}
if (location.protocol === "file:") window.Worker = window.IFrameWorker = FrameWorker;
