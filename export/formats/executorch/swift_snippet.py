"""Swift that feeds an ExecuTorch program: the shortest class that an iOS app needs."""

from __future__ import annotations

from string import Template

from export.formats import Snippet

SNIPPET = Snippet(
    "ExecutorchClassifier.swift",
    Template("""\
// ExecuTorch 1.5 by Swift Package Manager, with the products executorch, backend_xnnpack and kernels_optimized.
// Add $file to the app target.
import CoreGraphics
import ExecuTorch

final class ExecutorchClassifier {
    static let labels = [$labels]
    static let threshold: Float = $threshold  // of "$positive"
    static let retakeBand: (low: Float, high: Float)? = $swift_band  // strictly between: ask for another picture
    static let height = $height, width = $width

    private let module: Module

    init(contentsOf url: URL) throws {
        module = Module(filePath: url.path)
        try module.load("forward")
    }

    /// `frame`: upright, width x height ($kotlin_fit). Normalisation is inside.
    /// Returns probabilities in the order of `labels`.
    func probabilities(of frame: CGImage) throws -> [Float] {
        precondition(frame.width == Self.width && frame.height == Self.height)
        var rgbx = [UInt8](repeating: 0, count: Self.height * Self.width * 4)
        rgbx.withUnsafeMutableBytes { bytes in
            CGContext(
                data: bytes.baseAddress, width: Self.width, height: Self.height, bitsPerComponent: 8,
                bytesPerRow: Self.width * 4, space: CGColorSpace(name: CGColorSpace.sRGB)!,
                bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue
            )!.draw(frame, in: CGRect(x: 0, y: 0, width: Self.width, height: Self.height))
        }
        let rgb = rgbx.enumerated().filter { $$0.offset % 4 != 3 }.map(\\.element)
        let image = Tensor<UInt8>(rgb, shape: [1, Self.height, Self.width, 3])
        let output: Tensor<Float> = try module.forward(image)[0].tensor()!
        return output.scalars()
    }
}
"""),
)
