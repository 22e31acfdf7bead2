package main

func Example() {
	main()
	// Unordered output:
	// somebody else leads, with a greater fence: true <nil>
	// a late write of the first leader is applied: false
}
