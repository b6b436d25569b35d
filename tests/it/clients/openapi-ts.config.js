// What @hey-api/openapi-ts makes, and how: for Node.js, whose imports name their files whole.
export default { input: 'openapi.json', output: { path: 'hey', importFileExtension: '.js' } };
