"""The revisions of the state database, oldest first; a revision that was released is never edited."""
