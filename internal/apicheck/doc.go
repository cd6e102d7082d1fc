// Command apicheck compares the exported API of the library with what users
// have: that of the newest tag, or until there is one the stored baseline. It
// fails on an incompatible change that the first section of CHANGELOG.md does
// not name:
//
//	go run .          compare
//	go run . -write   take the API as it is for the new baseline
//
// A change is named by the identifier with its package, in backquotes, such as
// `scheduler.Scheduler.Nodes`.
//
// Its tests also build a consumer: a module that gets the root and every nested
// module as users do, out of module zips and without the replace directives
// that hold the modules together here.
package main
