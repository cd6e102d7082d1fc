package main

func Example() {
	main()
	// Output:
	// if zone b is lost: 6670 of its 6670 sessions find room, and 300 of 300 more
	// drained: 40 of 40 hosts, 400 sessions have moved
	// sessions of eight cores that still fit: 1923
}
