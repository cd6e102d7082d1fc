// Package pagetest opens the page of scheduler/debugpage in Chromium and expects of it
// what somebody on call does. It has no code to import, and is a module of its own so
// that nobody who mounts the page downloads the driver.
//
//	go test ./...                              skips where there is no Chromium
//	CONSTELLATION_SCREENSHOTS=dir go test ./...   keeps pictures in a folder
package pagetest
