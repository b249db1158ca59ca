// Package http is the daemon's HTTP JSON API, version 1: objects as resources, problems as in
// RFC 9457, and an OpenAPI 3.1 description that is made from the same table as the routes.
// docs/API.md is its manual.
//
// A request passes these stations: the Host check, the split of the path (on its escaped form,
// never cleaned), the route, the checks that the route's definition asks for (headers, query,
// media types, size of the body), the route's function. What a function returns, a reply or an
// error, is written at one place; one table says which error becomes which problem.
//
// The package reads and writes through the interfaces Store and Cluster. It holds no state of
// its own: every daemon that knows a namespace can answer any request for it.
//
// The name shadows net/http. Outside, this package is imported as httpapi.
package http
