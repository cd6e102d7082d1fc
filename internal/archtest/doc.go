// Package archtest holds the architecture of the repository as tests. It has
// no code to import: a rule that is broken fails `go test ./internal/archtest`
// with the file and the line that broke it.
//
// What is enforced, each in the test file of that name:
//
//   - imports: which of our packages a package may import; nothing from third
//     parties outside tests in the root module; no package testing in what is
//     shipped.
//   - pure: code that decides reads no clock, starts no goroutine, takes no
//     lock, opens nothing and draws no global randomness.
//   - state: no mutable package-level variable and no init function.
//   - layout: what lies at the top level, and one doc.go per package.
//   - weight: what a program links because it imports package scheduler.
//   - readme: every Go block of a README is code that the tests run.
//   - snippet: Go code in the package comments of the root module compiles, as far
//     as it is whole, and its programs print what they should.
//   - guarantee: every test that the README names stands where it says.
//   - files: every Go file that a comment names is there.
//
// Each rule is a function from sources to complaints, so that a second test
// can show that it finds what it is there to find.
package archtest
