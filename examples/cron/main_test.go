package main

func Example() {
	main()
	// Output:
	// building the report of 2026-11-20
	// building the report of 2026-11-21
}
