package main

func Example() {
	main()
	// Output: 8 calls, 0 of them too soon
}
