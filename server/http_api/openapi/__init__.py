"""The API's description: its document, and what the framework cannot know of answers and values."""
