"""The read side: route submissions, read an inbox, take documents, replay history."""
