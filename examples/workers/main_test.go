package main

func Example() {
	main()
	// Unordered output:
	// plain: attempt 1 worked
	// shaky: attempt 1 failed
	// shaky: attempt 2 worked
	// broken: attempt 1 failed
	// broken: attempt 2 failed
	// broken: attempt 3 failed
	// broken: put aside after 3 attempts
	// broken: attempt 1 worked
}
