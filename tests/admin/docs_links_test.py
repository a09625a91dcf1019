"""Each link of a document to another, or to one of its headings, leads there."""

import os
import unittest

import documents


class Links(unittest.TestCase):
    def test_lead_somewhere(self):
        for name in documents.all_of_them():
            text = documents.read(name)
            for path, anchor in documents.links(text):
                with self.subTest(document=name, path=path, anchor=anchor):
                    target = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
                    self.assertTrue(os.path.exists(os.path.join(documents.ROOT, target)))
                    if anchor:
                        self.assertIn(anchor, documents.anchors(documents.read(target)))

    def test_readme_leads_to_every_document(self):
        linked = {path for path, _ in documents.links(documents.read("README.md"))}
        self.assertEqual(set(documents.for_users()) - linked - {"README.md"}, set())


if __name__ == "__main__":
    unittest.main()
