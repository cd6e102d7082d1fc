// Reservation tells two stories. In the first capacity is promised for a launch in an
// hour, on a book of two nodes, and others use it until then. In the second two teams
// share a limit for a week, on a scheduler: they book days, lend what is idle, close a
// node for an evening and repeat a window over the change of the clocks. The time is
// passed in: both run in a moment and always in the same way.
//
//	go run ./examples/reservation
//	go run ./examples/reservation -svg timeline.svg
//	go run ./examples/reservation -week
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
)

func main() {
	svg := flag.String("svg", "", "also draw the timeline to this file")
	week := flag.Bool("week", false, "tell the week of two teams")
	flag.Parse()
	var text string
	var err error
	if *week {
		text, err = runWeek(context.Background())
	} else {
		text, err = run(*svg)
	}
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
