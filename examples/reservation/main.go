// Reservation tells how capacity is promised for a launch in an hour and what
// may use it until then, on a book of two nodes. The time is passed in: the
// whole morning runs in a moment and always in the same way.
//
//	go run ./examples/reservation
//	go run ./examples/reservation -svg timeline.svg
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	svg := flag.String("svg", "", "also draw the timeline to this file")
	flag.Parse()
	text, err := run(*svg)
	fmt.Print(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run returns the story with its timeline, and draws that to a file if one is
// named.
func run(svg string) (string, error) {
	s, err := newStory()
	if err != nil {
		return "", err
	}
	if err := s.tell(); err != nil {
		return s.text.String(), err
	}
	s.text.WriteString("\n" + s.timeline.text())
	if svg != "" {
		err = os.WriteFile(svg, []byte(s.timeline.svg()), 0o600)
	}
	return s.text.String(), err
}
