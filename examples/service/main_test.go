package main

func Example() {
	main()
	// Output:
	// the plan failed: no plan yet
	// doing: wash
	// doing: dry
}
