"""Swift that feeds an ExecuTorch program: the shortest class that an iOS app needs."""

from __future__ import annotations

from string import Template

from export.formats import Snippet
from export.phone_code import SWIFT_CONSTANTS, SWIFT_DECIDE, SWIFT_DECISION

SNIPPET = Snippet(
    "ExecutorchClassifier.swift",
    Template(f"""\
// ExecuTorch 1.5 by Swift Package Manager, with the products executorch, backend_xnnpack and kernels_optimized.
// Add $file to the app target.
import CoreGraphics
import ExecuTorch

final class ExecutorchClassifier {{
{SWIFT_DECISION}
{SWIFT_CONSTANTS}
    static let height = $height, width = $width

    private let module: Module

    init(contentsOf url: URL) throws {{
        module = Module(filePath: url.path)
        try module.load("forward")
    }}

    /// `frame` as for `probabilities`.
    func decide(_ frame: CGImage) throws -> Decision {{
        Self.decide(try probabilities(of: frame))
    }}

{SWIFT_DECIDE}
    /// `frame`: upright, portrait, any size; $kotlin_fit. Normalisation is inside.
    /// Returns probabilities in the order of `labels`.
    func probabilities(of frame: CGImage) throws -> [Double] {{
        let size = CGSize(width: frame.width, height: frame.height)
        let scale = $swift_scale(CGFloat(Self.width) / size.width, CGFloat(Self.height) / size.height)
        let fitted = CGRect(
            x: (CGFloat(Self.width) - size.width * scale) / 2, y: (CGFloat(Self.height) - size.height * scale) / 2,
            width: size.width * scale, height: size.height * scale)
        var rgbx = [UInt8](repeating: 0, count: Self.height * Self.width * 4)
        rgbx.withUnsafeMutableBytes {{ bytes in
            let context = CGContext(
                data: bytes.baseAddress, width: Self.width, height: Self.height, bitsPerComponent: 8,
                bytesPerRow: Self.width * 4, space: CGColorSpace(name: CGColorSpace.sRGB)!,
                bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)!
            context.interpolationQuality = .high
            context.draw(frame, in: fitted)
        }}
        let rgb = rgbx.enumerated().filter {{ $$0.offset % 4 != 3 }}.map(\\.element)
        let image = Tensor<UInt8>(rgb, shape: [1, Self.height, Self.width, 3])
        let output: Tensor<Float> = try module.forward(image)[0].tensor()!
        return output.scalars().map(Double.init)
    }}
}}
"""),
)
