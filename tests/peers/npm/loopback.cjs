// Loaded before a server that binds every interface on a fixed port: it gets a free port of
// the loopback interface instead, and says on stderr which.
const { Server } = require("node:net");
const listen = Server.prototype.listen;

Server.prototype.listen = function (...given) {
  const done = given.find((argument) => typeof argument === "function");
  this.once("listening", () => {
    console.error(`running on http://127.0.0.1:${this.address().port}`);
  });
  return listen.call(this, { host: "127.0.0.1", port: 0 }, done);
};
