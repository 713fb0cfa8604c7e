export { claim } from "./claim.js";
export { frame } from "./frame.js";
export { live, type Live } from "./live.js";
export { parameters, type ParameterValue, type Widened } from "./parameters.js";
export { show, type ShowOptions } from "./show.js";
export { table, Table, type Row, type TableOptions } from "./table.js";
