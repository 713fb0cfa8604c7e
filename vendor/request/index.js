// danfojs-node uses the retired `request` package to read files by URL. We never do: download first, then read.
module.exports = () => {
  throw new Error("Reading a URL is not supported here: download the file first, then read it from disk.");
};
