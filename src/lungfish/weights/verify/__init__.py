"""Whether weights compute here what they compute in the library that they were published for."""
