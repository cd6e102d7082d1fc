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
	"io"
	"os"
)

func main() {
	svg := flag.String("svg", "", "also draw the timeline to this file")
	flag.Parse()
	if err := run(os.Stdout, *svg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run tells the story and draws its timeline, to a file as well if one is
// named.
func run(w io.Writer, svg string) error {
	s, err := newStory(w)
	if err != nil {
		return err
	}
	if err := s.tell(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	s.timeline.print(w)
	if svg == "" {
		return nil
	}
	f, err := os.Create(svg)
	if err != nil {
		return err
	}
	s.timeline.draw(f)
	return f.Close()
}
