// danfojs-node depends on a spreadsheet package that no registry serves. Result frames need no spreadsheets.
const absent = () => {
  throw new Error("Spreadsheets are not supported here: use CSV, JSON or parquet.");
};
module.exports = {
  read: absent, readFile: absent, write: absent, writeFile: absent,
  utils: new Proxy({}, { get: () => absent }),
};
