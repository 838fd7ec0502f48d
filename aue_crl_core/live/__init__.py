"""The live view: a page in the browser that shows what a run or a node sees, while it sees it."""
