export default {
  input: "openapi.json",
  output: { path: "client", module: { extension: ".js" } },
  plugins: [
    "@hey-api/client-fetch",
    "@hey-api/sdk",
    { name: "@hey-api/typescript", enums: "javascript" },
  ],
};
