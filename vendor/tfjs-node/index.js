// danfojs-node asks for tfjs-node, whose install downloads a C library. It gets the GPU build where the user has
// installed it, else TensorFlow.js itself: the same interface, nothing downloaded.
let tf;
try {
  tf = require("@tensorflow/tfjs-node-gpu");
} catch {
  tf = require("@tensorflow/tfjs");
}
module.exports = tf;
